# Everything that is done with Eventfleet, in one place: `make` lists it.
# A recipe that runs for long starts with exec, so that Ctrl-C and SIGTERM reach the program itself.

VENV := .venv
BENCH_VENV := .venv-bench
BIN := $(VENV)/bin
COMPILED := $(wildcard */*.pyx */*/*.pyx)
PYTHON ?= python3.11 python3.12 python3.13 python3
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
UV_COMPILE = uv pip compile --universal --python-version 3.11 --generate-hashes --quiet \
	--no-emit-index-url --custom-compile-command 'make lock' $(if $(call on,UPGRADE),--upgrade)

# $(call on,NAME): the value of a switch given on the command line; 0 and nothing mean off.
on = $(filter-out 0,$($(1)))

MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup run test unit test-faults lint types imports format bench bench-routing bench-aggregation bench-setup lock stack-up stack-down stack-status stack-doctor clean

help: ## List what can be done
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(VENV)/.installed ## Create .venv with the locked dependencies; does nothing when it is up to date

# Two steps, so that a change of pyproject.toml alone does not install everything anew.
$(VENV)/.locked: requirements-dev.lock requirements-samples.lock
	@for python in $(PYTHON); do \
		$$python -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && break; \
		python=; \
	done; \
	if [ -z "$$python" ]; then \
		echo 'setup: Python 3.11 or newer with venv is missing: install it (Debian: apt-get install python3.11-venv) or name it (make setup PYTHON=...)' >&2; \
		exit 1; \
	fi; \
	echo "setup: installing the locked dependencies into $(VENV) with $$($$python --version) (a minute or two, once)" && \
	$$python -m venv --clear $(VENV)
	@$(PIP) install --require-hashes -r requirements-dev.lock
	@# Only the sample files in it are read; what it depends on (click 7.0) would hold everything else back.
	@$(PIP) install --no-deps --require-hashes -r requirements-samples.lock
	@touch $@

$(VENV)/.installed: $(VENV)/.locked pyproject.toml hatch_build.py $(COMPILED)
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@$(BIN)/python -c 'import fleet.lane._records' 2>/dev/null || \
		echo 'setup: no C compiler, so workers run in pure Python, at about half the speed (Debian: apt-get install gcc libc6-dev; then make clean setup)' >&2
	@touch $@
	@echo 'setup: ready'

run: setup ## Start stack, workers and gateway, process the samples, show the result (ONCE=1 ends by itself, SUMMARY=file.json)
	@exec $(BIN)/eventfleet run $(if $(call on,ONCE),--once) $(if $(SUMMARY),--summary '$(SUMMARY)')

test: setup lint types imports ## Check everything: style, types, import directions, then all tests on the real stack (ARGS=...)
	@exec $(BIN)/python -m pytest $(if $(ARGS),$(ARGS),-n 2)

unit: setup ## Run the pure tests only, in seconds (ARGS=...)
	@exec $(BIN)/python -m pytest tests/unit $(ARGS)

test-faults: setup ## Kill, stop and starve what runs, and count every event (ARGS=..., EVENTFLEET_FAULT_EVENTS=2000000: a soak)
	@exec $(BIN)/python -m pytest tests/faults $(ARGS)

lint: setup ## Check style and formatting
	@$(BIN)/ruff check --quiet
	@$(BIN)/ruff format --check --quiet || { echo 'lint: not formatted: run make format' >&2; exit 1; }

types: setup ## Check types, strictly
	@$(BIN)/mypy

imports: setup ## Check which package may import which (.importlinter)
	@$(BIN)/lint-imports --no-logo

format: setup ## Format the code and mend what can be mended safely
	@$(BIN)/ruff check --fix-only --quiet
	@$(BIN)/ruff format --quiet

bench: setup bench-setup ## Measure the engine beside its peers (QUICK=1: rough, one run of each)
	@exec $(BIN)/python -m benchmarks.engine $(if $(call on,QUICK),--quick)

bench-routing: setup bench-setup ## Measure the router beside Kafka Streams (QUICK=1: rough, one run of each)
	@exec $(BIN)/python -m benchmarks.routing $(if $(call on,QUICK),--quick)

bench-aggregation: setup bench-setup ## Measure the aggregator beside its peers (QUICK=1: rough, one run of each; STATE=1: memory of 10,000,000 rows)
	@exec $(BIN)/python -m benchmarks.aggregation $(if $(call on,QUICK),--quick) $(if $(call on,STATE),--state)

bench-setup: $(BENCH_VENV)/.locked ## Create .venv-bench with the peers of the benchmarks; `make bench` does it

$(BENCH_VENV)/.locked: requirements-bench.lock | $(VENV)/.locked
	@echo 'bench: installing quix-streams into $(BENCH_VENV) (once)'
	@$(BIN)/python -m venv --clear $(BENCH_VENV)
	@$(BENCH_VENV)/bin/python -m pip --disable-pip-version-check --quiet install --require-hashes -r $<
	@touch $@

lock: ## Resolve the dependencies anew with uv, with hashes (UPGRADE=1: to the newest versions)
	@command -v uv >/dev/null || { echo 'lock: uv is missing: pip install uv' >&2; exit 1; }
	@$(UV_COMPILE) pyproject.toml --extra local --output-file requirements.lock
	@$(UV_COMPILE) pyproject.toml --extra local --group dev --constraints requirements.lock --output-file requirements-dev.lock
	@$(UV_COMPILE) requirements-samples.in --no-deps --output-file requirements-samples.lock
	@$(UV_COMPILE) requirements-bench.in --output-file requirements-bench.lock

stack-up: setup ## Start the local Kafka and schema registry, and leave them running
	@exec $(BIN)/eventfleet stack up

stack-down: setup ## Stop the local Kafka and schema registry
	@exec $(BIN)/eventfleet stack down

stack-status: setup ## Show which parts of the local stack are up
	@exec $(BIN)/eventfleet stack status

stack-doctor: setup ## Say what this machine lacks, and the command that installs it
	@exec $(BIN)/eventfleet stack doctor

clean: ## Stop the local stack; remove its data and downloads, .venv and all caches
	@if [ -x $(BIN)/eventfleet ]; then $(BIN)/eventfleet stack down; fi
	@rm -rf $(VENV) $(BENCH_VENV) .eventfleet .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis dist
	@find agents api fleet gateway schemas stack tables -name '*.so' -delete
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
