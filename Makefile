# `make run` and `make test` set everything up; nothing but Python 3.11+ and make is needed.
.DEFAULT_GOAL := help
.PHONY: help run test check format lint types lock clean
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

help: ## say what can be done
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "make %-8s %s\n", $$1, $$2}'

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed; name one with: make PYTHON=python3.13"; exit 1; }
	$(PYTHON) -m venv $(VENV) || { echo "The venv module is missing; on Debian: apt-get install python3-venv"; exit 1; }

$(VENV)/.local: requirements-local.txt pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-local.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/.dev: requirements-dev.txt $(VENV)/.local
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.txt
	@touch $@

run: $(VENV)/.local ## start the whole service on this machine
	@exec $(BIN)/cost-tracker serve

test: $(VENV)/.dev ## run every test
	$(BIN)/pytest -n 2 --dist loadfile

check: format lint types test ## everything that CI checks

format: $(VENV)/.dev ## fail where the formatter would change a file
	$(BIN)/ruff format --check .

lint: $(VENV)/.dev ## ruff, every rule
	$(BIN)/ruff check .

types: $(VENV)/.dev ## mypy, strict
	$(BIN)/mypy

lock: $(VENV)/.dev ## pin what pyproject.toml asks for
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-annotate --no-header \
		--no-emit-index-url --no-emit-find-links pyproject.toml -o requirements.txt
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-annotate --no-header \
		--no-emit-index-url --no-emit-find-links --extra local -c requirements.txt pyproject.toml -o requirements-local.txt
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-annotate --no-header \
		--no-emit-index-url --no-emit-find-links --extra local --extra dev -c requirements-local.txt pyproject.toml \
		-o requirements-dev.txt

clean: ## remove what make built
	rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
