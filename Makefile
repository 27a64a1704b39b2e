# Every target does its own set-up: on a machine with Python 3.11 or newer, `make plan` and `make test` just work.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

STACK ?= dev
# The twin's own stack, unless another is named: make up STACK=prod
TWIN := $(if $(filter command line environment,$(origin STACK)),$(STACK),local)
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.stamp
LOCK := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
        --custom-compile-command "make lock" $(if $(UPGRADE),--upgrade)

# The Pulumi SDKs are large: without bytecode every start would compile them again.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help
help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

# An environment holds the path it was made for: a moved or copied checkout needs a new one.
ifneq ($(shell cat $(STAMP) 2>/dev/null),$(shell pwd))
$(STAMP): anew
.PHONY: anew
anew:
endif

$(STAMP): requirements.txt requirements/uv.txt pyproject.toml tools/bootstrap.sh
	@PYTHON="$(PYTHON)" tools/bootstrap.sh

.PHONY: setup
setup: $(STAMP) ## Fill .venv from the lock (the other targets do it themselves)

.PHONY: plan
plan: $(STAMP) ## Show what a stack would build, how its GPUs are shared and what it costs: make plan STACK=dev
	@$(BIN)/slices plan $(STACK) $(ARGS)

.PHONY: up
up: $(STAMP) ## Start the twin: the real Karpenter and scheduler on this machine, with a stack applied (STACK=local)
	@$(BIN)/slices up $(TWIN) $(ARGS)

.PHONY: down
down: $(STAMP) ## Stop the twin and remove everything that it left
	@$(BIN)/slices down $(TWIN) $(ARGS)

.PHONY: dialogue
dialogue: $(STAMP) ## Open the page on this machine: models of a local Ollama talk, else a demonstration model
	@PYTHONPATH=apps exec $(BIN)/python -m dialogue demo $(ARGS)

.PHONY: test
test: $(STAMP) ## Run the tests: unit, policy, plan
	@$(BIN)/python -m pytest -n 2 --dist loadfile -m "not go and not parts" tests/unit tests/policy tests/plan $(ARGS)

.PHONY: test-later
test-later: $(STAMP) ## Run the tests of what has dates as if a year had passed: nothing may fail because of that
	@TEST_DAYS_ON=366 PYTHONPATH="$(CURDIR)/tests/later" $(BIN)/python -m pytest -n 2 --dist loadfile \
	  -m "not go and not parts" -W ignore::pytest.PytestAssertRewriteWarning \
	  tests/unit/cli/test_a_year_on.py tests/unit/cli/test_real_stacks.py tests/unit/config tests/policy tests/plan $(ARGS)

.PHONY: test-sweep
test-sweep: $(STAMP) ## Run whole what `make test` tries a part of: every program through every carrier, every value not known
	@SWEEP=everything $(BIN)/python -m pytest -n 2 tests/policy/test_carriers.py tests/policy/test_unknown_in_programs.py \
	  tests/policy/test_placeholders_in_programs.py tests/plan/test_platform_mutants.py \
	  tests/unit/config/test_starter.py tests/unit/config/test_placeholders.py tests/unit/config/test_fuzz.py $(ARGS)

.PHONY: test-parts
test-parts: $(STAMP) ## Run the tests on other people's parts: Karpenter's own files, moto, systemd, Terraform (builds with Go)
	@$(BIN)/python -m pytest -n 2 -m "go or parts" tests/unit tests/policy tests/plan $(ARGS)

.PHONY: test-apps
test-apps: $(STAMP) ## Run the tests of the page and its models, on a real Ollama and in Chromium where they are (builds with Go)
	@# Ollama may get stuck (tests/apps/conftest.py): once more, from there on, with a new server.
	@$(BIN)/python -m pytest --stepwise-reset tests/apps $(ARGS) || $(BIN)/python -m pytest --stepwise tests/apps $(ARGS)

.PHONY: test-twin
test-twin: $(STAMP) ## Run the tests of the twin, three at a time: scenarios, crashes, mistakes
	@$(BIN)/python -m pytest -m twin -n 3 --dist worksteal tests/twin $(ARGS)

.PHONY: test-engine
test-engine: $(STAMP) ## Run every stack on Pulumi's real engine: preview, up, change, destroy (builds with Go, minutes once)
	@$(BIN)/python -m pytest -m engine -n 2 --dist worksteal tests/engine $(ARGS)

.PHONY: lint
lint: $(STAMP) ## Check style and types
	@$(BIN)/ruff check --quiet .
	@$(BIN)/ruff format --quiet --check .
	@$(MAKE) types

.PHONY: types
types: $(STAMP) ## Check types alone
	@$(BIN)/mypy .

.PHONY: format
format: $(STAMP) ## Format the code and mend what ruff can mend
	@$(BIN)/ruff check --quiet --fix . || true
	@$(BIN)/ruff format --quiet .

.PHONY: catalog
catalog: $(STAMP) ## Generate the catalogue of instance types and prices again (needs Go; ARGS=--check only compares)
	@$(BIN)/python -m tools.generate_catalog $(ARGS)

.PHONY: digests
digests: $(STAMP) ## Ask the registries for the digests of the pinned images (ARGS=--write writes what is new)
	@$(BIN)/python -m tools.pin_images $(ARGS)

.PHONY: lock
lock: $(STAMP) ## Write the lock files again (UPGRADE=1: with the newest versions that the .in files allow)
	@$(LOCK) --output-file requirements.txt requirements.in
	@$(LOCK) --constraint requirements.txt --output-file apps/dialogue/requirements.txt apps/dialogue/requirements.in
	@$(foreach for,requirements requirements-gpu requirements-train,$(LOCK) --constraint requirements.txt \
	  --output-file apps/classifier/$(for).txt apps/classifier/$(for).in;)
	@$(LOCK) --constraint requirements.txt --output-file requirements/policy.txt requirements/policy.in
	@$(LOCK) --output-file requirements/uv.txt requirements/uv.in
	@$(LOCK) --output-file requirements/go.txt requirements/go.in
	@$(LOCK) --output-file requirements/checkov.txt requirements/checkov.in

.PHONY: checkov-env
checkov-env: $(VENV)-checkov/.stamp ## Fill .venv-checkov, Checkov's own environment

$(VENV)-checkov/.stamp: requirements/checkov.txt $(STAMP)
	@$(BIN)/uv venv --quiet --clear --python $(BIN)/python $(VENV)-checkov
	@$(BIN)/uv pip sync --quiet --python $(VENV)-checkov/bin/python --require-hashes --compile-bytecode requirements/checkov.txt
	@touch $@

.PHONY: checkov
checkov: $(VENV)-checkov/.stamp ## Scan the plan of every stack with Checkov; checkov-exceptions.yaml says what stays and why
	@$(BIN)/python -m tools.checkov_scan $(ARGS)

.PHONY: classifier-env
classifier-env: $(VENV)-classifier/.stamp ## Fill .venv-classifier, the demonstration service's environment, and train its model

CLASSIFIER_LOCKS := apps/classifier/requirements.txt apps/classifier/requirements-train.txt
$(VENV)-classifier/.stamp: $(CLASSIFIER_LOCKS) apps/classifier/train.py $(STAMP)
	@$(BIN)/uv venv --quiet --clear --python $(BIN)/python $(VENV)-classifier
	@$(BIN)/uv pip sync --quiet --python $(VENV)-classifier/bin/python --require-hashes --compile-bytecode $(CLASSIFIER_LOCKS)
	@PYTHONPATH=apps $(VENV)-classifier/bin/python -m classifier.train $(VENV)-classifier/model.onnx \
	  --samples $(VENV)-classifier/samples
	@touch $@

.PHONY: classifier
classifier: $(VENV)-classifier/.stamp ## Serve the demonstration service on this machine: pictures of digits to 127.0.0.1:8080/classify
	@CLASSIFIER_MODEL=$(VENV)-classifier/model.onnx PYTHONPATH=apps exec $(VENV)-classifier/bin/python -m classifier

.PHONY: policy-pack
policy-pack: $(STAMP) ## Write the policy pack with what it needs into a folder of its own: make policy-pack TO=DIR
	@$(BIN)/python -m tools.policy_pack $(TO)

.PHONY: bench
bench: $(STAMP) ## Measure the planner, and what others plan with (bench/peers)
	@$(BIN)/python -m bench $(ARGS)

.PHONY: docs
docs: $(STAMP) ## Write again what is generated: documents, README samples, lists of URNs
	@$(BIN)/python -m config.document
	@$(BIN)/python -m config.json_schema
	@$(BIN)/python -m config.choosing
	@$(BIN)/python -m policy.document
	@$(BIN)/python -m tools.terraform_shapes
	@$(BIN)/python -m tools.dialogue_document
	@$(BIN)/python -m tools.upgrades
	@$(BIN)/python -m tools.mirror_table
	@$(BIN)/python -m tools.dashboard_picture
	@$(BIN)/python -m tools.generate_models
	@$(BIN)/python -m account.document
	@$(BIN)/python -m tests.plan.test_program
	@$(BIN)/python -m tests.plan.test_readme

.PHONY: clean
clean: ## Remove environments and caches
	@rm -rf $(VENV) $(VENV)-checkov $(VENV)-classifier .mypy_cache .pytest_cache .ruff_cache .hypothesis build dist
