STACK ?= demo
N ?= 20
PYTHON ?= python3
RUN = $(PYTHON) -m toolchain run --

.PHONY: help up down repair plan pull dashboard test unit lint integration containment dlp doctor setup docs bench fleet bench-git
help: ## show this
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 14

up: ## set up what is missing, then bring up STACK (demo) and show what it does
	@$(PYTHON) -m toolchain setup
	@$(RUN) pulumi stack select --create $(STACK)
	@$(RUN) pulumi up --yes --skip-preview --stack $(STACK)
	@$(RUN) python3 -m toolchain.demo $(STACK)

down: ## destroy STACK (demo); images stay
	@$(RUN) pulumi destroy --yes --skip-preview --stack $(STACK)

repair: ## after a kill of pulumi or the engine: bring STACK to a correct state (DOWN=1: take it away instead)
	@$(RUN) python3 -m components.repair $(STACK) $(if $(DOWN),--down)

plan: ## what STACK can reach, and what the next up would change
	@$(RUN) python3 -m components.plan_table $(STACK)

pull: ## bring the workspace copy of STACK back (DRY=1: only show; TO=folder: into a new folder; FORCE=1: over changes)
	@$(RUN) python3 -m components.pull $(STACK) $(if $(TO),--to $(TO)) $(if $(FORCE),--force) $(if $(DRY),--dry-run)

dashboard: ## the owner's page: bottles, decisions, proposals; prints the address to open
	@$(RUN) python3 -m dashboard serve

test: ## set up what is missing, then run every check and test
	@$(PYTHON) -m toolchain setup --dev
	@$(MAKE) --no-print-directory lint unit integration

lint: ## ruff and mypy
	@$(RUN) ruff check .
	@$(RUN) ruff format --check .
	@$(RUN) mypy

unit: ## tests without Docker
	@$(RUN) python3 -m pytest tests/unit -q

integration: ## tests with Docker, Pulumi and the real Claude Code; the attacks from inside among them
	@$(RUN) python3 -m pytest tests/integration tests/containment -v -n 3 --dist loadfile \
	  --no-loadscope-reorder -m "not slow"

containment: ## every attack, failure and kill: the whole of tests/containment, 500 random bottles, all kills of an approval
	@$(PYTHON) -m toolchain setup --dev
	@$(RUN) env CLAUDE_BOTTLE_EXAMPLES=500 CLAUDE_BOTTLE_ALL_KILLS=1 python3 -m pytest tests/containment \
	  tests/unit/test_invariants.py tests/integration/test_kills.py -v -n 2 --dist loadfile

doctor: ## say what is there, what is missing and how to get it
	@$(PYTHON) -m toolchain doctor

setup: ## only set up
	@$(PYTHON) -m toolchain setup

bench: ## the chain against direct and bare mitmdump, start, memory, DLP, many bottles: writes docs/performance.* (half an hour)
	@$(PYTHON) -m toolchain setup --dev
	@$(RUN) python3 bench/chain.py
	@$(RUN) python3 bench/git_gate.py --write
	@$(RUN) python3 bench/start.py
	@$(RUN) python3 bench/fleet.py $(N) --write

fleet: ## bring N (20) small bottles up, measure what each costs, take them away
	@$(PYTHON) -m toolchain setup --dev
	@$(RUN) python3 bench/fleet.py $(N)

bench-git: ## clone and push through git-gate against direct, side by side
	@$(RUN) python3 bench/git_gate.py

dlp: ## what the DLP engine finds and what it takes for a secret, by rule family: writes docs/dlp.md
	@$(RUN) python3 bench/dlp_table.py

docs: ## write what is generated from the manifest's model: its JSON Schema and docs/manifest.md
	@$(RUN) python3 -m components.manifest schema > stacks/manifest.schema.json
	@$(RUN) python3 -m components.manifest docs > docs/manifest.md
