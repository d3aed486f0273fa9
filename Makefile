# `make run` and `make test` set everything up; nothing but Python 3.11+ and make is needed.
.DEFAULT_GOAL := help
.PHONY: help run test soak proof openapi test-next check bench bench-quick format lint types gates schema-hash sam-validate sam-build lock clean
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# The SAM command line pins versions that clash with ours, so it lives apart.
SAM_VENV := .venv-sam
# So does the validator of FOCUS exports.
FOCUS_VENV := .venv-focus
UV := $(or $(wildcard $(BIN)/uv),uv)

help: ## say what can be done
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "make %-12s %s\n", $$1, $$2}'

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

# The lock is the whole resolution; older pips do not see that a pin without its extras answers one with them.
$(SAM_VENV)/.installed: requirements-sam.txt | $(BIN)/python
	$(BIN)/python -m venv $(SAM_VENV)
	$(SAM_VENV)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements-sam.txt
	@touch $@

PROOF ?= 2000000
proof: $(VENV)/.dev ## many random events against every report and export, by brute force: make proof PROOF=100000
	PROOF_EVENTS=$(PROOF) $(BIN)/pytest tests/proof

# A shim of pyenv may be on the PATH without a version behind it: what counts is what runs.
find-python = for python in python$(1) "$$(pyenv root 2>/dev/null)"/versions/$(1).*/bin/python; do \
	"$$python" -c 'import sys; sys.exit("%d.%d" % sys.version_info[:2] != "$(1)")' 2>/dev/null && echo "$$python" && break; done

# Its numpy has wheels for 3.12 and is compiled for minutes by anything newer. Without it the tests that ask it are
# skipped and say so: neither a missing Python nor a failed installation stops them.
$(FOCUS_VENV)/.installed: requirements-focus.txt
	@python=$$($(call find-python,3.12)); if [ -n "$$python" ]; then \
		"$$python" -m venv $(FOCUS_VENV) && $(FOCUS_VENV)/bin/python -m pip install --quiet --disable-pip-version-check \
			--no-deps --require-hashes -r requirements-focus.txt && touch $@ || \
			echo "The FOCUS validator could not be installed: exports are checked by our own rules only."; \
	else echo "Python 3.12 is not installed here: FOCUS exports are checked by our own rules only."; fi

run: $(VENV)/.local ## start the whole service on this machine
	@exec $(BIN)/cost-tracker serve

test: $(VENV)/.dev $(SAM_VENV)/.installed $(FOCUS_VENV)/.installed ## run every test, template gates included
	$(BIN)/pytest -n 4 --dist loadfile --no-loadscope-reorder

openapi: $(VENV)/.dev ## every edge of every parameter against the answers that the OpenAPI document announces
	OPENAPI_PHASES=examples,coverage,fuzzing $(BIN)/pytest tests/e2e/test_openapi_held.py

SOAK ?= 2000
soak: $(VENV)/.dev ## the state machine over the ledger, at length and at random: make soak SOAK=10000
	MACHINE_EXAMPLES=$(SOAK) $(BIN)/pytest tests/machine/test_machine.py

FIND_NEXT = $(call find-python,3.13)

# What chance finds does not depend on the version: the state machine is shorter here.
test-next: ## run every test on Python 3.13, the version of the functions, where it is installed
	@python=$$($(FIND_NEXT)); if [ -n "$$python" ]; then \
		MACHINE_EXAMPLES=$${MACHINE_EXAMPLES:-25} $(MAKE) --no-print-directory VENV=.venv-3.13 PYTHON="$$python" test; \
	else echo "Python 3.13 is not installed here: the tests ran on $$($(BIN)/python -V) only."; fi

check: format lint types test openapi test-next ## everything that CI checks

format: $(VENV)/.dev ## fail where the formatter would change a file
	$(BIN)/ruff format --check .

lint: $(VENV)/.dev ## ruff, every rule
	$(BIN)/ruff check .

types: $(VENV)/.dev ## mypy, strict
	$(BIN)/mypy

gates: $(VENV)/.dev $(SAM_VENV)/.installed ## check template.yaml alone, as the tests do
	$(BIN)/python -m infra.gates

schema-hash: $(VENV)/.dev ## write the digest of the migrations into template.yaml
	$(BIN)/python -m infra.gates.schema

sam-validate: $(VENV)/.dev $(SAM_VENV)/.installed ## what `sam deploy` would refuse
	AWS_DEFAULT_REGION=$(or $(AWS_DEFAULT_REGION),us-east-1) SAM_CLI_TELEMETRY=0 $(SAM_VENV)/bin/sam validate --lint

sam-build: $(VENV)/.dev $(SAM_VENV)/.installed ## build every function for Lambda into .aws-sam
	SAM_CLI_TELEMETRY=0 $(SAM_VENV)/bin/sam build

# What `sam build` runs for each function. One artefact serves them all: the code as it lies here, so that imports are
# the same on Lambda and in the tests, and the pinned dependencies for Lambda's platform. ARCH=x86_64 builds for a laptop.
ARCH ?= aarch64
# Lambda brings boto3 and what only boto3 needs.
IN_LAMBDA := boto3 botocore s3transfer dateutil python_dateutil six six.py urllib3
# Lambda cannot write bytecode next to the code, so a cold start would compile every module: it is shipped where a
# Python 3.13 can make it, with hashes instead of times, so that equal code gives equal archives.
build-%Function:
	@test -n "$(ARTIFACTS_DIR)" || { echo "Use make sam-build, or name a folder: make $@ ARTIFACTS_DIR=build/lambda"; exit 1; }
	mkdir -p "$(ARTIFACTS_DIR)"
	$(UV) pip install --quiet --target "$(ARTIFACTS_DIR)" --python-version 3.13 --only-binary :all: \
		--python-platform $(ARCH)-manylinux_2_28 --no-deps --require-hashes -r requirements.txt
	cp -R functions shared "$(ARTIFACTS_DIR)"
	cd "$(ARTIFACTS_DIR)" && rm -rf bin .lock $(IN_LAMBDA) $(IN_LAMBDA:%=%-*.dist-info) certifi/tests && \
		find . -type d -name __pycache__ -prune -exec rm -rf {} + && \
		find . -path '*.dist-info/*' \( -name RECORD -o -name REQUESTED -o -name INSTALLER \) -delete
	@python=$$($(FIND_NEXT)); if [ -n "$$python" ]; then \
		cd "$(ARTIFACTS_DIR)" && "$$python" -m compileall -q -j 0 --invalidation-mode unchecked-hash . ; \
	else echo "There is no Python 3.13 here to compile with: the artefact works, its cold starts take longer."; fi

bench: $(VENV)/.dev ## what is fast enough, as ratios to a yardstick of the same run, most of an hour; figures go to build/bench
	$(BIN)/python -m tests.bench

bench-quick: $(VENV)/.dev ## the same at small sizes, a few minutes
	$(BIN)/python -m tests.bench --quick

lock: $(VENV)/.dev ## pin what pyproject.toml asks for
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-annotate --no-header \
		--no-emit-index-url --no-emit-find-links pyproject.toml -o requirements.txt
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-annotate --no-header \
		--no-emit-index-url --no-emit-find-links --extra local -c requirements.txt pyproject.toml -o requirements-local.txt
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-annotate --no-header \
		--no-emit-index-url --no-emit-find-links --extra local --extra dev -c requirements-local.txt pyproject.toml \
		-o requirements-dev.txt
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-annotate --no-header \
		--no-emit-index-url --no-emit-find-links --group sam -o requirements-sam.txt
	$(BIN)/uv pip compile -q --universal --python-version 3.12 --generate-hashes --no-annotate --no-header \
		--no-emit-index-url --no-emit-find-links --group focus -o requirements-focus.txt

clean: ## remove what make built
	rm -rf $(VENV) $(SAM_VENV) $(FOCUS_VENV) .aws-sam build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
