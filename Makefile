# Set-up goes through uv into .venv and is repeated only when the lock changes.
PYTHON ?= python3
# Two processes, each with a PostgreSQL of its own: half the time.
PYTEST_ARGS ?= -q
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
UV := $(BIN)/uv

export PREFECT_SERVER_ANALYTICS_ENABLED := false
export DO_NOT_TRACK := 1

.PHONY: demo test docs screenshots matrices check audit bench mutants format lock setup browser postgres openmp clean help

help:  ## Show this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup: $(READY)  ## Virtual environment with the locked dependencies

$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "slotfeed needs Python 3.11 or newer; run 'make PYTHON=/path/to/python3.11 $(MAKECMDGOALS)'"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@test -x $(UV) || $(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	@$(UV) pip sync --quiet --python $(BIN)/python requirements.lock
	@$(UV) pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $@

demo: $(READY)  ## The main job on a real day of a real community, all on this machine
	@$(BIN)/slotfeed demo

test: $(READY) browser postgres openmp  ## All tests; sets up what they need
	@$(BIN)/python -m pytest -n 2 --dist loadfile $(PYTEST_ARGS)

coverage: $(READY) browser postgres openmp  ## All tests, and which lines they don't reach; takes a fifth longer
	@$(BIN)/python -m pytest -n 2 --dist loadfile -q --cov --cov-report=term:skip-covered

matrices: $(READY) postgres  ## The crash and fault matrices whole, held against the tables of docs/reliability.md; what else takes long
	@$(BIN)/python -m pytest -n 2 --dist loadfile -q -m "matrix or not matrix" tests/reliability/test_crash_matrix_*.py \
	  tests/reliability/test_fault_matrix_*.py tests/flows/test_serve.py

check: $(READY)  ## Lint, types and the rules of the house
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo

docs: $(READY)  ## The documentation as a site, in site/; fails on a broken link
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict --config-file .mkdocs.yml

screenshots: $(READY) browser  ## The pictures of docs/operations.md, taken anew
	@$(BIN)/python -m tests.screenshots

bench: $(READY) openmp  ## Figures: reading, validating, slots, forecasts, posting, outbox, reconciling, each beside a peer; a day's outage, half a day of trouble; runs at size
	@$(BIN)/python tests/benchmarks/clouds.py
	@$(BIN)/python tests/benchmarks/validation.py
	@$(BIN)/python tests/benchmarks/slots.py
	@$(BIN)/python -m tests.benchmarks.forecast
	@$(BIN)/python tests/benchmarks/posting.py
	@$(BIN)/python -m tests.benchmarks.outbox --write
	@$(BIN)/python -m tests.benchmarks.outage
	@$(BIN)/python -m tests.benchmarks.reconcile --write
	@$(BIN)/python -m tests.benchmarks.week --days 0.5
	@$(BIN)/python -m tests.benchmarks.feed --write
	@$(BIN)/python -m tests.benchmarks.under_prefect --write
	@$(BIN)/python -m tests.benchmarks.fleet --write
	@$(BIN)/python -m tests.benchmarks.shares --write
	@$(BIN)/python -m tests.benchmarks.years --write

mutants: $(READY)  ## Which deliberate bug of delivery turns which test red; writes the table of docs/reliability.md
	@$(BIN)/python -m tests.reliability.mutations

# Needs the network, so it is no part of .ci/run; docs/security.md says when to run it.
AUDITOR := pip-audit==2.10.1
ADVISORIES := https://api.osv.dev
audit: $(READY)  ## Compare the locked dependencies with known vulnerabilities (needs the network)
	@$(BIN)/python -c 'import httpx; httpx.head("$(ADVISORIES)", timeout=20)' 2>/dev/null || \
	  { echo "Nothing was audited: $(ADVISORIES) can't be reached from here. Run 'make audit' where it can."; exit 2; }
	@$(UV) tool run --quiet $(AUDITOR) --requirement requirements.lock --disable-pip --require-hashes \
	  --vulnerability-service osv --progress-spinner off

format: $(READY)  ## Format and mend what ruff can
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

lock: $(READY)  ## Resolve the dependencies anew
	@$(UV) pip compile --quiet pyproject.toml --group dev --universal --python-version 3.11 --upgrade \
	  --no-emit-index-url --no-annotate --no-header --generate-hashes -o requirements.lock

# Runs apt-get with $(1) as its arguments, as root or through sudo.
apt = SUDO=$$(test "$$(id -u)" = 0 || echo sudo); $$SUDO apt-get update -qq && \
  DEBIAN_FRONTEND=noninteractive $$SUDO apt-get install -y -qq --no-install-recommends $(1) >/dev/null

browser:
	@command -v chromium >/dev/null || command -v chromium-browser >/dev/null || command -v google-chrome >/dev/null || \
	  { echo "Installing Chromium for the report's tests"; $(call apt,chromium); } || \
	  { echo "No Chromium could be installed; install it by hand (package 'chromium') and run again"; exit 1; }

# The wheel that carries PostgreSQL serves up to Python 3.12; beyond, the tests start the system's.
postgres: $(READY)
	@$(BIN)/python -c 'import pgserver' 2>/dev/null || ls /usr/lib/postgresql/*/bin/pg_ctl >/dev/null 2>&1 || \
	  { echo "Installing PostgreSQL for the store's tests"; $(call apt,postgresql); } || \
	  { echo "No PostgreSQL could be installed; install it by hand (package 'postgresql') and run again"; exit 1; }

# LightGBM's wheel leaves OpenMP's library to the system.
openmp: $(READY)
	@$(BIN)/python -c 'import lightgbm' 2>/dev/null || \
	  { echo "Installing OpenMP's library for the forecast model"; $(call apt,libgomp1); } || \
	  { echo "No OpenMP could be installed; install it by hand (package 'libgomp1') and run again"; exit 1; }

clean:  ## Remove the environment and caches
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis .coverage htmlcov
