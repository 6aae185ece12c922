# The first make run or make test sets up everything it needs. Later calls work offline.

SHELL := /bin/sh
.DEFAULT_GOAL := help
.PHONY: help run test e2e lint format unit versions template docs dist wheel sbom release reference diagrams examples screenshots simulate bench mutants setup sam build invoke lock clean

# The Python version of .venv, as in 3.14; by default the one that scripts/find-python prefers.
VENV_PYTHON ?=
EVENT ?= events/eventbridge_plan.json
CONFIG ?= default
BIN := .venv/bin
SAM := .venv-sam/bin
# Errors only: pip's other messages are about settings of the machine, not about this project.
PIP_INSTALL = -m pip -qq --disable-pip-version-check --no-input install
# The files are complete. Without --no-deps, the pip of Python 3.12 wants a pin for the extra of coverage[toml], too.
LOCKED = --require-hashes --no-deps -r
NO_PACKAGES = { echo "The packages could not be installed. The first call needs the network; later ones do not." >&2; exit 1; }
export SAM_CLI_TELEMETRY := 0
export PYTHONDONTWRITEBYTECODE := 1

define say
	@if [ -t 1 ]; then printf '\033[1m%s\033[0m\n' $(1); else echo $(1); fi
endef

help: ## Show this list
	@echo "Usage: make TARGET"
	@echo
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  %-10s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

# --- targets for people ----------------------------------------------------------------------------------

run: .venv/.installed ## Execute a sample plan against a simulated broker and a local AWS (EVENT=events/….json)
	@$(BIN)/rebalance local run $(EVENT)

test: lint docs template ## Run all checks of CI: lint, types, imports, documents, template, tests with coverage
	@scripts/get-browser
	$(call say,"Tests")
	@$(BIN)/pytest -q -n auto --dist worksteal --ignore=tests/e2e --cov --cov-report=json:build/coverage.json
	@$(BIN)/python scripts/check-coverage build/coverage.json

CHECK_SCHEMA = $(BIN)/check-jsonschema --quiet --builtin-schema
lint: .venv/.installed ## Check style, types, the direction of imports, spelling, plain English and workflows
	$(call say,"Lint")
	@$(BIN)/ruff check --quiet .
	@$(BIN)/ruff format --check --quiet . || { echo "Some files are not formatted: make format"; exit 1; }
	@$(BIN)/mypy --no-error-summary src tests local rollout benchmarks examples
	@$(BIN)/lint-imports > .venv/imports.log 2>&1 || { cat .venv/imports.log; exit 1; }
	@$(BIN)/codespell
	@$(BIN)/python scripts/check-prose
	@$(CHECK_SCHEMA) vendor.github-workflows .github/workflows/*.yml
	@$(CHECK_SCHEMA) vendor.github-issue-forms .github/ISSUE_TEMPLATE/bug.yml .github/ISSUE_TEMPLATE/feature.yml
	@$(CHECK_SCHEMA) vendor.dependabot .github/dependabot.yml

format: .venv/.installed ## Format the code
	@$(BIN)/ruff check --fix --quiet .
	@$(BIN)/ruff format --quiet .

unit: .venv/.installed ## Run the unit tests only
	@$(BIN)/pytest -q tests/unit

VERSIONS ?= 3.12 3.13 3.14
versions: .venv/.installed ## Run the unit tests on every other Python version that this machine has (VERSIONS="3.12 3.14")
	$(call say,"Other Python versions")
	@scripts/test-versions $(VERSIONS)

SEEDS ?= 1000
simulate: .venv/.installed ## Simulate histories of the whole program under faults, on all cores (SEEDS=1000)
	@$(BIN)/python -m rebalance_simulation --seeds $(SEEDS)

bench: .venv/.installed ## Measure all figures of docs/performance.md: time, requests, dollars, peers (a quarter of an hour)
	@$(BIN)/python -m benchmarks --write docs/figures
	@$(BIN)/python scripts/figures write

mutants: .venv/.installed ## Run mutation testing: thousands of code changes, and which of them the tests detect (fifteen minutes)
	@rm -rf mutants
	@$(BIN)/mutmut run
	@$(BIN)/python -m benchmarks.mutants --write docs/figures/mutants.json
	@$(BIN)/python scripts/figures write

template: .venv-sam/.installed .venv-scan/.installed ## Check template.yaml and local/template.yaml: lint and policies
	$(call say,"Template")
	@$(SAM)/sam validate --lint > .venv-sam/validate.log 2>&1 || { cat .venv-sam/validate.log; exit 1; }
	@$(SAM)/cfn-lint template.yaml local/template.yaml examples/s3-plans.yaml
	@.venv-scan/bin/checkov -f template.yaml examples/s3-plans.yaml --framework cloudformation --skip-download --compact --quiet \
		> .venv-scan/scan.log 2>&1 || { cat .venv-scan/scan.log; exit 1; }

e2e: .venv/.installed .venv-sam/.installed ## Deploy template.yaml to a local AWS and test it end to end (with E2E_STACK=… also in AWS)
	$(call say,"End to end")
	@$(BIN)/pytest -q tests/e2e
	@$(BIN)/python -m tests.e2e.account_day

dist: .venv/.installed ## Build source distribution and wheel in dist
	@rm -rf build/lib build/bdist.*
	@$(BIN)/python scripts/build-dist dist > .venv/dist.log 2>&1 || { cat .venv/dist.log; exit 1; }

WHEEL_OPTIONS ?=
wheel: dist ## Install the wheel into an empty environment, and run the tutorial with it (needs the network)
	$(call say,"Wheel")
	@$(BIN)/python -m tests.e2e.installed_wheel $(WHEEL_OPTIONS)

VERSION = $(shell sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)
NAME = dist/rebalance_executor-$(VERSION)
sbom: .venv-sbom/.installed ## Write the software bill of materials of the deployed artefact in dist
	@mkdir -p dist
	@.venv-sbom/bin/cyclonedx-py requirements --pyproject pyproject.toml --output-reproducible \
		-o $(NAME).cdx.json requirements/lambda.txt > .venv-sbom/sbom.log 2>&1 || { cat .venv-sbom/sbom.log; exit 1; }

release: dist sbom .venv-sam/.installed ## Build all files of a release in dist: wheel, artefact for sam deploy, bill of materials
	@$(SAM)/sam build --config-env live > .venv-sam/build.log 2>&1 || { cat .venv-sam/build.log; exit 1; }
	@rm -f $(NAME)-sam.tar.gz && tar -C .aws-sam/build -czf $(NAME)-sam.tar.gz .
	@cd dist && rm -f SHA256SUMS && sha256sum * > SHA256SUMS

docs: .venv/.installed ## Build the documentation site in build/site; broken links are errors
	$(call say,"Documentation")
	@$(BIN)/zensical build --strict --clean > .venv/docs.log 2>&1 || { cat .venv/docs.log; exit 1; }

reference: .venv/.installed ## Generate reference, commands, order of controls and schemas in docs/ from the code
	@$(BIN)/python -m rebalance_cli.docs.reference docs

MERMAID := mermaid@11.17.2
diagrams: .venv/.installed ## Render docs/diagrams/*.mmd to SVG (needs npm, the network and Chromium)
	@scripts/get-browser
	@mkdir -p build && npm install --silent --no-save --no-package-lock --ignore-scripts --prefix build $(MERMAID)
	@$(BIN)/python scripts/render-diagrams build/node_modules/mermaid/dist

screenshots: .venv/.installed ## Make the pictures of pages in docs/images (needs Chromium)
	@scripts/get-browser
	@$(BIN)/python scripts/make-screenshots

examples: .venv/.installed ## Run every command and write its output to docs/examples and docs/commands.md
	@$(BIN)/python -m rebalance_cli.docs.examples docs/examples
	@$(BIN)/python -m rebalance_cli.docs.reference docs

build: .venv-sam/.installed ## Build the artefact to deploy (CONFIG=dev|paper|live) or to invoke on this machine (default)
	@$(SAM)/sam build --config-env $(CONFIG)

# A container of another architecture would run under emulation: slowly, or not at all.
MACHINE = $(if $(filter arm64 aarch64,$(shell uname -m)),arm64,x86_64)
invoke: .venv-sam/.installed ## Build for this machine and invoke with sam local invoke (needs Docker; EVENT=…)
	@docker info > /dev/null 2>&1 || { echo "sam local invoke needs Docker, which is not running. Start Docker, or use make run, which does not need it." >&2; exit 1; }
	@$(SAM)/sam build --parameter-overrides Architecture=$(MACHINE)
	@$(SAM)/sam local invoke --parameter-overrides Architecture=$(MACHINE) -e $(EVENT) RebalanceFunction

# --- environments ----------------------------------------------------------------------------------------

setup: .venv/.installed ## Create or update .venv (other targets do this as needed)
	@echo "Ready: $$($(BIN)/python --version) in .venv"

sam: .venv-sam/.installed ## Create or update .venv-sam with AWS SAM and cfn-lint
	@echo "Ready: $$($(SAM)/sam --version) in .venv-sam"

.venv/.installed: requirements/dev.txt pyproject.toml
	@scripts/make-venv .venv $(VENV_PYTHON)
	$(call say,"Installing the project (.venv)")
	@$(BIN)/python $(PIP_INSTALL) $(LOCKED) requirements/dev.txt || $(NO_PACKAGES)
	@$(BIN)/python $(PIP_INSTALL) --no-deps --no-build-isolation -e .
	@touch $@

# A separate environment, because the tight pins of SAM conflict with the dependencies of the project.
.venv-sam/.installed: requirements/sam.txt
	@scripts/make-venv .venv-sam
	$(call say,"Installing AWS SAM and cfn-lint (.venv-sam)")
	@$(SAM)/python $(PIP_INSTALL) $(LOCKED) requirements/sam.txt || $(NO_PACKAGES)
	@touch $@

.venv-scan/.installed: requirements/scan.txt
	@scripts/make-venv .venv-scan
	$(call say,"Installing the policy scanner (.venv-scan)")
	@.venv-scan/bin/python $(PIP_INSTALL) $(LOCKED) requirements/scan.txt || $(NO_PACKAGES)
	@touch $@

.venv-sbom/.installed: requirements/sbom.txt
	@scripts/make-venv .venv-sbom
	$(call say,"Installing the writer of the bill of materials (.venv-sbom)")
	@.venv-sbom/bin/python $(PIP_INSTALL) $(LOCKED) requirements/sbom.txt || $(NO_PACKAGES)
	@touch $@

UV_COMPILE = uv pip compile --quiet --python-version 3.12 --universal --generate-hashes --no-emit-index-url --no-header
# alpaca-py depends on them (100 MB) for data frames, streams and its broker API, which the function does not use.
LEFT_OUT = $(addprefix --no-emit-package ,pandas numpy pytz msgpack sseclient-py websockets)
lock: ## Update the pinned requirements from requirements/*.in (needs uv)
	@command -v uv > /dev/null || { echo "make lock needs uv: pip install uv, then try again." >&2; exit 1; }
	@$(UV_COMPILE) requirements/dev.in -o requirements/dev.txt
	@$(UV_COMPILE) -c requirements/dev.txt $(LEFT_OUT) requirements/lambda.in -o requirements/lambda.txt
	@$(UV_COMPILE) -c requirements/dev.txt requirements/local.in -o requirements/local.txt
	@$(UV_COMPILE) requirements/sam.in -o requirements/sam.txt
	@$(UV_COMPILE) requirements/scan.in -o requirements/scan.txt
	@$(UV_COMPILE) requirements/sbom.in -o requirements/sbom.txt

clean: ## Delete environments, builds and caches; keep local data (.local)
	@rm -rf .venv .venv-* .aws-sam build dist htmlcov .coverage .coverage.* src/*.egg-info
	@rm -rf .cache .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
	@find $(wildcard src tests benchmarks local) -name __pycache__ -type d -prune -exec rm -rf {} +

# --- targets for sam build -------------------------------------------------------------------------------

.PHONY: build-RebalanceFunction build-LocalWorld
PACKAGES := scripts/lambda-pip
TRIM := scripts/lambda-trim
NO_CACHES = find "$(ARTIFACTS_DIR)" -name __pycache__ -type d -prune -exec rm -rf {} +

# The artefact of the function: pinned packages and the deployed package.
build-RebalanceFunction:
	@$(PACKAGES) "$(ARTIFACTS_DIR)" "$(ARTIFACTS_DIR)" requirements/lambda.txt
	@cp -R src/rebalance_executor "$(ARTIFACTS_DIR)/"
	@$(TRIM) "$(ARTIFACTS_DIR)"

# The layer of local/template.yaml.
build-LocalWorld:
	@mkdir -p "$(ARTIFACTS_DIR)/python" "$(ARTIFACTS_DIR)/samples"
	@$(PACKAGES) "$(ARTIFACTS_DIR)" "$(ARTIFACTS_DIR)/python" requirements/local.txt
	@cp -R src/paper_broker local/local_world.py "$(ARTIFACTS_DIR)/python/"
	@cp -R events/world.json events/plans "$(ARTIFACTS_DIR)/samples/"
	@$(NO_CACHES)
