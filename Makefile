STACK ?= demo
N ?= 20
PYTHON ?= python3
RUN = $(PYTHON) -m toolchain run --
BOTTLE = $(RUN) python3 -m claude_bottle

.PHONY: tools help up down forget repair plan pull dashboard test unit lint integration containment dlp doctor prune update audit setup docs bench load fleet bench-git dlp-traffic histories
help: ## show this
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 14

up: ## set up what is missing, then bring up STACK (demo) and show what it does
	@$(PYTHON) -m toolchain stack $(STACK)
	@$(PYTHON) -m toolchain setup
	@$(BOTTLE) up $(STACK)
	@$(RUN) python3 -m toolchain.demo $(STACK)

down: ## collect the records of STACK (demo), then destroy it; stops if work was not pulled (FORCE=1); images stay
	@$(BOTTLE) down $(STACK) $(if $(FORCE),--force) $(if $(FORGET),--forget) || [ $$? = 3 ]

forget: ## delete the earlier states and logs that Pulumi keeps of STACK, after a rotation or a down (down FORGET=1: at once)
	@$(BOTTLE) forget $(STACK) || [ $$? = 3 ]

repair: ## after a kill of pulumi or the engine: bring STACK to a correct state (DOWN=1: delete it instead)
	@$(BOTTLE) repair $(STACK) $(if $(DOWN),--down)

plan: ## what STACK can reach, and what the next up would change
	@$(BOTTLE) plan $(STACK)

pull: ## bring the workspace copy of STACK back (DRY=1: only show; TO=folder: into a new folder; FORCE=1: over changes; NO_RUN_FILES=1)
	@$(BOTTLE) pull $(STACK) $(if $(TO),--to $(TO)) $(if $(FORCE),--force) $(if $(NO_RUN_FILES),--no-run-files) $(if $(DRY),--dry-run)

dashboard: ## the owner's page: bottles, decisions, proposals; prints the address to open
	@$(BOTTLE) dashboard

test: ## set up what is missing, then run every check and test
	@$(PYTHON) -m toolchain setup --dev
	@$(MAKE) --no-print-directory lint unit integration

lint: ## ruff and mypy
	@$(RUN) ruff check .
	@$(RUN) ruff format --check .
	@$(RUN) mypy

unit: ## tests without Docker
	@$(RUN) python3 -m pytest tests/arch tests/unit -q -n 2

tools: ## every program of docs/programs.md in a bottle; builds an image with all of them, once (some minutes, 3 GB)
	@$(PYTHON) -m toolchain setup --dev
	@$(RUN) env CLAUDE_BOTTLE_TOOLS=1 python3 -m pytest tests/tools -v

integration: ## tests with Docker, Pulumi and the real Claude Code; the attacks from inside among them
	@$(RUN) python3 tests/integration/shared_images.py
	@$(RUN) python3 -m pytest tests/integration tests/containment tests/tools -v --durations 40 -n 3 --dist loadfile \
	  --no-loadscope-reorder -m "not slow"

containment: ## every attack, failure and kill, the owner's account before and after: the whole of tests/containment, 500 random bottles, 1,500 pairs of plans, all kills of an approval
	@$(PYTHON) -m toolchain setup --dev
	@$(RUN) env CLAUDE_BOTTLE_EXAMPLES=500 CLAUDE_BOTTLE_ALL_KILLS=1 python3 -m pytest tests/containment \
	  tests/unit/test_invariants.py tests/unit/test_plan_fuzz.py tests/integration/test_kills.py \
	  tests/integration/test_upgrade.py tests/integration/test_slow_sides.py tests/integration/test_images.py -v -n 2 --dist loadfile

doctor: ## report what is installed, what is missing and how to get it
	@$(PYTHON) -m toolchain doctor

prune: ## delete this project's images that no bottle uses and this checkout would not build again (DRY=1: only show)
	@$(BOTTLE) prune $(if $(DRY),--dry-run)

update: ## newer base, Debian packages, Claude Code and Go for the images: shows what changes, and builds (BACK=1: roll back)
	@$(RUN) python3 -m toolchain update $(if $(BACK),--back)

audit: ## known vulnerabilities in the locked Python packages and Go modules (3: a database could not be reached)
	@$(RUN) python3 -m toolchain audit

setup: ## only set up
	@$(PYTHON) -m toolchain setup

bench: ## the chain against direct and bare mitmdump, start, memory, DLP, many bottles: writes docs/performance.* (35 minutes)
	@$(PYTHON) -m toolchain setup --dev
	@$(RUN) python3 bench/chain.py
	@$(RUN) python3 bench/git_gate.py --write
	@$(RUN) python3 bench/start.py
	@$(RUN) python3 bench/growth.py
	@$(RUN) python3 bench/connections.py
	@$(RUN) python3 bench/load.py --idle 300
	@$(RUN) python3 bench/fleet.py $(N) --write

load: ## many clients, streams, uploads, slow sides and silent ones on a bottle, small requests beside each, memory (10 minutes)
	@$(PYTHON) -m toolchain setup --dev
	@$(RUN) python3 bench/load.py --idle 300

fleet: ## bring N (20) small bottles up, measure what each costs, delete them
	@$(PYTHON) -m toolchain setup --dev
	@$(RUN) python3 bench/fleet.py $(N)

bench-git: ## clone and push through git-gate against direct, side by side
	@$(RUN) python3 bench/git_gate.py

histories: ## what git-gate refuses of the last commits of REPOS (repositories on this machine), how fast, and what it misses
	@$(RUN) python3 -m bench.git_histories $(REPOS)

dlp: ## what the DLP engine finds and what it takes for a secret, by rule family: writes docs/dlp.md; gitleaks beside betterleaks
	@$(RUN) python3 bench/dlp_table.py
	@$(RUN) python3 bench/dlp_scanners.py

dlp-traffic: ## what DLP makes of real programs' traffic: builds an image of them (some minutes), writes docs/dlp-traffic.md
	@$(RUN) python3 bench/dlp_traffic.py --write $(if $(REGISTRIES),--registries $(REGISTRIES))

docs: ## write what is generated: the manifest's JSON Schema, docs/manifest.md, docs/programs.md, docs/messages.md, the routes in docs/plan.md
	@$(RUN) python3 -m claude_bottle.cli.manifest_tool schema > stacks/manifest.schema.json
	@$(RUN) python3 -m claude_bottle.cli.manifest_tool docs > docs/manifest.md
	@$(RUN) python3 -m claude_bottle.cli.manifest_tool programs > docs/programs.md
	@$(RUN) python3 -m claude_bottle.cli.manifest_tool plan docs/plan.md
	@$(RUN) python3 -m tests.unit.mistakes > docs/messages.md
