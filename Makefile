# Sets up .venv on first use, and again when pyproject.toml or constraints.txt changes.
#   make search ARGS="--help"     make test ARGS="-k grid"     make test PYTHON=python3.12
# make bench sets up .venv-bench in the same way, make test-latest .venv-latest.

PYTHON ?= python3
ARGS ?=
MINUTES ?= 30
SEED ?=

VENV := .venv
BIN := $(VENV)/bin
RUN_READY := $(VENV)/.run-ready
DEV_READY := $(VENV)/.dev-ready
STRESS_READY := $(VENV)/.stress-ready
BENCH_VENV := .venv-bench
BENCH_READY := $(BENCH_VENV)/.ready
BENCH := $(BENCH_VENV)/base/bin/python
LATEST_VENV := .venv-latest
LATEST := $(LATEST_VENV)/bin/python

# Without isolation the build uses the pinned setuptools of the venv, and downloads nothing of its own.
PIP_INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help venv search check test test-long test-latest lint stress bench clean

help:
	@echo "make search   set up, then run a search       (ARGS= passes options, see ARGS=--help)"
	@echo "make check    ruff, mypy and the quick tests of what is pure (ARGS= passes pytest options)"
	@echo "make test     set up, then run the tests      (ARGS= passes pytest options)"
	@echo "make test-long    the tests that take longest, which make test leaves out"
	@echo "make test-latest  the tests against the newest releases of everything, in a venv of their own (ARGS= as above)"
	@echo "make lint     set up, then ruff and mypy"
	@echo "make stress   set up, then kills, races and fuzzing for MINUTES= (default 30; SEED= repeats a run; ARGS=--help)"
	@echo "make bench    set up, then compare with other tools and run all benchmarks (hours; ARGS= passes options of"
	@echo "              benchmarks/compare.py and runs that alone)"
	@echo "make venv     set up only, with the tools for tests and lint"
	@echo "make clean    remove .venv, .venv-bench, .venv-latest and caches; models/ stays"
	@echo "PYTHON=...    the interpreter for .venv, 3.11 or newer (default: python3)"

venv: $(DEV_READY)

search: $(RUN_READY)
	@$(BIN)/python scripts/search.py $(ARGS)

test: $(DEV_READY)
	@$(BIN)/python -m pytest --numprocesses 2 --dist loadgroup --no-loadscope-reorder -m "not long" $(ARGS)

test-long: $(DEV_READY)
	@$(BIN)/python -m pytest --numprocesses 2 --dist loadgroup --no-loadscope-reorder -m long $(ARGS)

# Anew each time: what is newest changes. Without the constraints, and without the upper bounds of pyproject.toml.
test-latest: $(RUN_READY)
	@echo "Installing the newest releases into $(LATEST_VENV)"
	@$(PYTHON) -m venv --clear $(LATEST_VENV)
	@$(BIN)/python scripts/without_upper_bounds.py pyproject.toml > $(LATEST_VENV)/requirements.txt
	@$(LATEST) -m pip install --quiet --disable-pip-version-check --upgrade -r $(LATEST_VENV)/requirements.txt setuptools wheel
	@$(LATEST) -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@$(LATEST) -m pip list --disable-pip-version-check 2>/dev/null | grep -iE '^(keras|tensorflow|ray|numpy|pyarrow) '
	@$(LATEST) -m pytest --numprocesses 2 --dist loadgroup --no-loadscope-reorder $(ARGS)

# For the loop while coding: no TensorFlow, no Ray.
CHECKED := tests/base tests/identity tests/grid tests/data/files tests/test_errors.py
check: $(DEV_READY)
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/python -m pytest --numprocesses 2 --dist loadfile -q -m "not ray and not long" $(CHECKED) $(ARGS)

lint: $(DEV_READY)
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

stress: $(STRESS_READY)
	@$(BIN)/python tests/stress/run.py --minutes $(MINUTES) $(if $(SEED),--seed $(SEED)) $(ARGS)

bench: $(BENCH_READY)
	@$(BENCH) benchmarks/compare.py $(ARGS)
ifeq ($(strip $(ARGS)),)
	@for each in steady_epochs cached_reload workers noop_trials large_data image_memory worker_growth seed_spread; do $(BENCH) benchmarks/$$each.py || exit 1; done
endif

# A stamp each, so that a search does not wait for test and lint tools, nor these for a fuzzer.
$(RUN_READY): pyproject.toml constraints.txt
	@command -v "$(PYTHON)" >/dev/null || { \
	  echo "make: '$(PYTHON)' is not installed. Install Python 3.11 or newer, or name one: make PYTHON=/path/to/python3" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "make: raygrid needs Python 3.11 or newer, but '$(PYTHON)' is $$($(PYTHON) --version 2>&1)." \
	       "Name a newer one: make PYTHON=python3.11" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "make: '$(PYTHON)' cannot make a virtual environment: its venv or ensurepip module is missing." \
	       "On Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; }
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || { \
	  echo "Making $(VENV)"; $(PYTHON) -m venv --clear $(VENV); }
	@echo "Installing raygrid into $(VENV) (TensorFlow and Ray are large: minutes on the first run)"
	@$(PIP_INSTALL) pip setuptools wheel
	@$(PIP_INSTALL) --no-build-isolation -e .
	@touch $@

$(DEV_READY): $(RUN_READY)
	@echo "Installing the tools for tests and lint"
	@$(PIP_INSTALL) --no-build-isolation -e '.[test,dev]'
	@touch $@

$(STRESS_READY): $(DEV_READY)
	@echo "Installing the fuzzer"
	@$(PIP_INSTALL) --no-build-isolation -e '.[test,stress]'
	@touch $@

$(BENCH_READY): $(RUN_READY) benchmarks/constraints.txt benchmarks/environments.py
	@echo "Installing what is compared into $(BENCH_VENV)"
	@$(BIN)/python benchmarks/environments.py
	@touch $@

clean:
	rm -rf $(VENV) $(BENCH_VENV) $(LATEST_VENV) build dist raygrid.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .stress
	find raygrid tests scripts benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +
