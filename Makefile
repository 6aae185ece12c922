# make run, make test: everything they need is set up on the first call. Later calls are offline.

SHELL := /bin/sh
.DEFAULT_GOAL := help
.PHONY: help run test lint format unit template schemas setup lock sam build clean

EVENT ?= events/eventbridge_plan.json
BIN := .venv/bin
SAM := .venv-sam/bin
PIP_INSTALL = -m pip install --quiet --disable-pip-version-check --no-input
export SAM_CLI_TELEMETRY := 0
export PYTHONDONTWRITEBYTECODE := 1

define say
	@printf '\033[1m%s\033[0m\n' $(1)
endef

help: ## Show this list
	@echo "Usage: make TARGET"
	@echo
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-10s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

# --- what one uses ---------------------------------------------------------------------------------------

run: .venv/.installed ## Execute a sample plan against a paper broker and a local AWS (EVENT=events/….json)
	@$(BIN)/rebalance local run $(EVENT)

test: lint .venv-sam/.installed ## Everything CI checks: lint, types, imports, tests with coverage, template
	$(call say,"Tests")
	@$(BIN)/pytest -q --cov=src/rebalance_executor --cov-report=term:skip-covered --cov-fail-under=90

lint: .venv/.installed ## Style, types and the direction of imports
	$(call say,"Lint")
	@$(BIN)/ruff check --quiet .
	@$(BIN)/ruff format --check --quiet . || { echo "Some files are not formatted: make format"; exit 1; }
	@$(BIN)/mypy --no-error-summary
	@$(BIN)/lint-imports --no-timings > .venv/imports.log 2>&1 || { cat .venv/imports.log; exit 1; }

format: .venv/.installed ## Put the code in shape
	@$(BIN)/ruff check --fix --quiet .
	@$(BIN)/ruff format --quiet .

unit: .venv/.installed ## The quick tests only
	@$(BIN)/pytest -q tests/unit

template: .venv-sam/.installed ## Check template.yaml
	@$(SAM)/sam validate --lint
	@$(SAM)/cfn-lint template.yaml local/template.yaml

schemas: .venv/.installed ## Write the JSON schemas of plan and result into docs/schemas
	@$(BIN)/python -m rebalance_executor.domain.schemas docs/schemas

build: .venv-sam/.installed ## Build the deployment artefact (CONFIG=default|dev|paper|live of samconfig.toml)
	@$(SAM)/sam build --config-env $(or $(CONFIG),default)

# --- environments ----------------------------------------------------------------------------------------

setup: .venv/.installed ## Create or update .venv (done by the other targets as needed)
	@echo "Ready: $$($(BIN)/python --version) in .venv"

sam: .venv-sam/.installed ## Create or update .venv-sam with AWS SAM and cfn-lint
	@echo "Ready: $$($(SAM)/sam --version) in .venv-sam"

.venv/.installed: requirements/dev.txt pyproject.toml
	@scripts/make-venv .venv
	$(call say,"Installing the project (.venv)")
	@$(BIN)/python $(PIP_INSTALL) --require-hashes -r requirements/dev.txt
	@$(BIN)/python $(PIP_INSTALL) --no-deps --no-build-isolation -e .
	@touch $@

# SAM pins its own dependencies tightly: it must not share an environment with the project.
.venv-sam/.installed: requirements/sam.txt
	@scripts/make-venv .venv-sam
	$(call say,"Installing AWS SAM and cfn-lint (.venv-sam)")
	@$(SAM)/python $(PIP_INSTALL) --require-hashes -r requirements/sam.txt
	@touch $@

UV_COMPILE = uv pip compile --quiet --python-version 3.12 --universal --generate-hashes --no-emit-index-url --no-header
lock: ## Pin requirements/*.in anew (needs uv)
	@$(UV_COMPILE) requirements/dev.in -o requirements/dev.txt
	@$(UV_COMPILE) -c requirements/dev.txt requirements/lambda.in -o requirements/lambda.txt
	@$(UV_COMPILE) -c requirements/dev.txt requirements/local.in -o requirements/local.txt
	@$(UV_COMPILE) requirements/sam.in -o requirements/sam.txt

clean: ## Delete environments, builds and caches; local data (.local) stays
	@rm -rf .venv .venv-sam .aws-sam build dist htmlcov .coverage .coverage.* src/*.egg-info
	@rm -rf .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
	@find src tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

# --- called by sam build, not by people ------------------------------------------------------------------

.PHONY: build-RebalanceFunction build-LocalWorld

# What is deployed, and nothing else.
build-RebalanceFunction:
	@scripts/lambda-pip "$(ARTIFACTS_DIR)" "$(ARTIFACTS_DIR)" requirements/lambda.txt
	@cp -R src/rebalance_executor "$(ARTIFACTS_DIR)/"
	@rm -rf "$(ARTIFACTS_DIR)/rebalance_executor/cli"
	@find "$(ARTIFACTS_DIR)" -name __pycache__ -type d -prune -exec rm -rf {} +

# The layer of local/template.yaml.
build-LocalWorld:
	@mkdir -p "$(ARTIFACTS_DIR)/python" "$(ARTIFACTS_DIR)/samples"
	@scripts/lambda-pip "$(ARTIFACTS_DIR)" "$(ARTIFACTS_DIR)/python" requirements/local.txt
	@cp -R src/paper_broker local/local_world.py "$(ARTIFACTS_DIR)/python/"
	@cp -R events/world.json events/plans "$(ARTIFACTS_DIR)/samples/"
	@find "$(ARTIFACTS_DIR)" -name __pycache__ -type d -prune -exec rm -rf {} +
