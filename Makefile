STACK ?= demo
PYTHON ?= python3
RUN = $(PYTHON) -m toolchain run --

.PHONY: help up down test unit lint integration doctor setup schema
help: ## show this
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 14

up: ## set up what is missing, then bring up STACK (demo) and show what it does
	@$(PYTHON) -m toolchain setup
	@$(RUN) pulumi stack select --create $(STACK)
	@$(RUN) pulumi up --yes --skip-preview --stack $(STACK)
	@$(RUN) python3 -m toolchain.demo $(STACK)

down: ## destroy STACK (demo); images stay
	@$(RUN) pulumi destroy --yes --skip-preview --stack $(STACK)

test: ## set up what is missing, then run every check and test
	@$(PYTHON) -m toolchain setup --dev
	@$(MAKE) --no-print-directory lint unit integration

lint: ## ruff and mypy
	@$(RUN) ruff check .
	@$(RUN) ruff format --check .
	@$(RUN) mypy

unit: ## tests without Docker
	@$(RUN) python3 -m pytest tests/unit -q

integration: ## tests with Docker, Pulumi and the real Claude Code
	@$(RUN) python3 -m pytest tests/integration -v

doctor: ## say what is there, what is missing and how to get it
	@$(PYTHON) -m toolchain doctor

setup: ## only set up
	@$(PYTHON) -m toolchain setup

schema: ## write the JSON Schema of stack files
	@$(RUN) python3 -m components.manifest schema > stacks/manifest.schema.json
