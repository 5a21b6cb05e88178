# One venv, pinned packages, generated code: every target sets up what it needs by itself.
SHELL := /bin/bash
.DEFAULT_GOAL := help
VENV := .venv
BIN := $(VENV)/bin
PY := $(BIN)/python
SOURCES := gateway connectors proto tests
PROTOS := $(shell find proto -name '*.proto' 2>/dev/null) proto/generate.py
# Compiled code is kept, whatever the machine's habit: pytest else rewrites every assert anew in each worker, at each run.
unexport PYTHONDONTWRITEBYTECODE
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export GRPC_VERBOSITY := ERROR

.PHONY: help setup demo run test test-all check bench format lock proto clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

$(VENV)/.packages: requirements/dev.txt pyproject.toml
	@found=; for p in python3.11 python3.12 python3.13 python3; do \
	  if "$$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then found=$$p; break; fi; done; \
	  if [ -z "$$found" ]; then echo 'Python 3.11 or newer is needed; install it and run make again.' >&2; exit 1; fi; \
	  echo "setting up $(VENV) with $$($$found --version) and the pinned packages (about a minute the first time) ..."; \
	  "$$found" -m venv $(VENV)
	@$(PY) -m pip install -q --require-hashes --no-deps -r requirements/dev.txt
	@$(PY) proto/generate.py
	@$(PY) -m pip install -q --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/.proto: $(VENV)/.packages $(PROTOS)
	@$(PY) proto/generate.py
	@touch $@

setup: $(VENV)/.proto ## make .venv with the pinned packages and the generated code

proto: setup ## generate gateway/_pb

demo: setup ## four simulated platforms, the gateway, two queries, and out
	@$(BIN)/xinyidai demo

run: setup ## keep the four simulated platforms and the gateway up
	@$(BIN)/xinyidai up

test: setup ## all tests but the long ones
	@$(PY) -m pytest -n 3

test-all: setup ## the long suites too, each with its time
	@XINYIDAI_TEST_PROFILE=long $(PY) -m pytest -n 2 -m 'long or not long' --durations=25

check: setup ## format, lint, types, floors, contract, tests
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy gateway connectors tests proto/generate.py
	@$(BIN)/lint-imports
	@$(PY) proto/generate.py --check-contract
	@$(MAKE) --no-print-directory test

bench: setup ## every budget, beside naive peers in one run (QUICK=1: a first look; JSON=file)
	@$(PY) -m tests.bench $(if $(JSON),--json $(JSON))

format: setup ## format the code
	@$(BIN)/ruff format . && $(BIN)/ruff check --fix . && (cd proto && ../$(BIN)/buf format -w --path xinyidai)

lock: ## pin and hash the requirements anew; what runs is what was tested
	@cd requirements && lock='../$(BIN)/uv pip compile --universal --generate-hashes --no-emit-index-url --no-header -q' && \
	  $$lock dev.in -o dev.txt && $$lock runtime.in -c dev.txt -o runtime.txt

clean: ## remove what make made
	@rm -rf $(VENV) gateway/_pb var dist
	@find $(SOURCES) -name __pycache__ -prune -exec rm -rf {} +
