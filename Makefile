# make run: environment, install, the experiment. make test: the same for all checks and tests; make quick: those of a
# minute. make docs: the documentation, in site/.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin

.PHONY: run test quick check docs install install-dev clean

run: install
	$(BIN)/al-cxr run experiments/tb_entropy.yaml

test: check
	$(BIN)/python -m pytest -n 2

# what a change is tried with while it is made: the linters, and the tests that train nothing
quick: check
	$(BIN)/python -m pytest -n 2 tests/core tests/config tests/strategies tests/evaluation tests/comparison

check: install-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

docs: install-dev
	$(BIN)/mkdocs build --strict

install: $(VENV)/.installed
install-dev: $(VENV)/.installed-dev

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e .
	touch $@

$(VENV)/.installed-dev: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[dev]"
	touch $@ $(VENV)/.installed

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache
