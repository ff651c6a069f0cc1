# Every target sets itself up: Python 3.11, make and git are enough.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
SECONDS_OF_FUZZING ?= 600
BENCHES := $(patsubst tests/benchmarks/bench_%.py,%,$(wildcard tests/benchmarks/bench_*.py))

.PHONY: help demo federation test test-all lint types contracts bench bundle fuzz clean $(addprefix bench-,$(BENCHES))

help: ## Show the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if v >= (3, 11) else "Python 3.11 or later is needed: make PYTHON=/path/to/python3.11")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt torch==2.13.0
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[report,dev]'
	@touch $@

demo: $(READY) ## Run a whole federation on this machine; report in demo/report.html
	rm -rf demo
	$(BIN)/safeborders demo --out demo

federation: $(READY) ## Run a federation of nine machines' processes over TLS on loopback, and say what it takes
	$(BIN)/python tests/end_to_end/measure.py

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(READY)
	$(BIN)/mypy

contracts: $(READY)
	$(BIN)/lint-imports

test: lint types contracts ## Check style, types, imports and run all but the slow tests
	$(BIN)/pytest -m "not slow" --cov --cov-report=term:skip-covered
	@echo "Left out: tests marked slow (long statistical, end-to-end and browser tests); make test-all runs them."

test-all: lint types contracts ## Run all tests; the browser tests need Debian's chromium
	$(BIN)/pytest -m "not slow" --cov --cov-report=term:skip-covered
	$(BIN)/pytest -m slow --durations=10

bench: $(addprefix bench-,$(BENCHES)) ## Run all benchmarks; figures in bench/

$(addprefix bench-,$(BENCHES)): bench-%: $(READY)
	@mkdir -p bench
	$(BIN)/python tests/benchmarks/bench_$*.py

fuzz: $(READY) ## Fuzz all parsers, guided by coverage where atheris is installed: make fuzz SECONDS_OF_FUZZING=600
	$(BIN)/python tests/fuzz/fuzz_parsers.py --seconds $(SECONDS_OF_FUZZING)

bundle: $(READY) ## Write a signed directory to install from without a network: make bundle RELEASE_KEY=FILE
	@$(BIN)/python tools/bundle.py --release-key "$(RELEASE_KEY)" --out dist

clean: ## Remove everything that the targets made
	rm -rf $(VENV) demo bench build dist .coverage .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
