# Two commands do everything: `make run` and `make test`. Each sets up its virtual environment the first time only.
# PYTHON chooses the interpreter (3.11 or newer): make run PYTHON=python3.12

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
EXPERIMENT ?= critical_periods/deficit_window

.PHONY: run test test-all lint format notebooks benchmarks clean help

help:
	@echo "make run          set up, then run $(EXPERIMENT)"
	@echo "make test         set up, then lint, types, import contracts and tests"
	@echo "make test-all     the same with the slow tests"
	@echo "make benchmarks   set up with PyTorch, then measure (needs a quiet machine)"
	@echo "make format       rewrite the source in the project's style"
	@echo "make clean        remove the virtual environment and caches"

run: $(VENV)/.installed
	$(BIN)/brainjax run $(EXPERIMENT)

test: lint
	$(BIN)/python -m pytest -n auto --dist worksteal -m "not slow"

test-all: lint
	$(BIN)/python -m pytest -n auto --dist worksteal

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/basedpyright --level error
	$(BIN)/lint-imports

format: $(VENV)/.installed-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

benchmarks: $(VENV)/.installed-benchmarks
	$(BIN)/python -m benchmarks all

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "brainjax needs Python 3.11 or newer; try: make $(MAKECMDGOALS) PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
	  { echo "this Python lacks venv; on Debian: apt-get install python3-venv"; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml constraints.txt | $(BIN)/python
	@echo "installing brainjax (once)"
	@$(PIP) install -c constraints.txt -e .
	@touch $@

$(VENV)/.installed-dev: pyproject.toml constraints.txt | $(BIN)/python
	@echo "installing brainjax with its development tools (once)"
	@$(PIP) install -c constraints.txt -e ".[dev]"
	@touch $@ $(VENV)/.installed

$(VENV)/.installed-benchmarks: pyproject.toml constraints.txt | $(BIN)/python
	@echo "installing brainjax with its benchmarks (once; PyTorch is large)"
	@$(PIP) install -c constraints.txt -e ".[benchmarks]"
	@touch $@ $(VENV)/.installed

clean:
	rm -rf $(VENV) .pytest_cache .ruff_cache .hypothesis .import_linter_cache
