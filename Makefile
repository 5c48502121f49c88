# The two commands of the README are `make demo` and `make test`; both work from a fresh clone.
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt
# Simulators that are large (SMAX brings a gigabyte) or have to be built are left to their extras.
# One test process a core; each has one torch thread (tests/conftest.py).
WORKERS ?= 2
FAST := tests/unit tests/architecture

.PHONY: demo test slow gpu cluster chaos mutants check format lint types layers fast docs bench clean
.DEFAULT_GOAL := help

help:
	@echo "make demo    train two small teams, save, reload, evaluate, draw     make test    every test but the slow"
	@echo "make check   format, lint, types, layers, fast tests, docs           make bench   speeds"
	@echo "make slow    learning tests, a quarter of an hour      make cluster  dask, two nodes of Ray, lost workers"
	@echo "make docs    build the documentation into site/                      make format  mend format and imports"
	@echo "make gpu     on a GPU: its tests, then the table of speeds; 9 minutes at most"
	@echo "make mutants do the fast tests notice planted faults"
	@echo "make chaos   500 faults at random in one training: the same weights as without"

$(BIN)/python:
	$(PYTHON) -m venv .venv

# The stamps are made again when the requirements change; otherwise nothing is installed twice.
.venv/core.stamp: pyproject.toml constraints.txt | $(BIN)/python
	@echo "Installing masoft into .venv; the first time takes a few minutes."
	$(PIP) -e .
	@touch $@

.venv/full.stamp: pyproject.toml constraints.txt | $(BIN)/python
	@echo "Installing masoft with its extras into .venv; the first time takes a few minutes."
	$(PIP) -e ".[mamujoco,vmas,lag,deploy,studies,dev,docs]"
	@touch $@ .venv/core.stamp

demo: .venv/core.stamp
	$(BIN)/masoft demo

test: .venv/full.stamp
	$(BIN)/python -m pytest -n $(WORKERS) -m "not slow"

slow: .venv/full.stamp
	$(BIN)/python -m pytest -n $(WORKERS) -m slow

cluster: .venv/full.stamp
	$(PIP) -e ".[ray,s3]" "moto[server]>=5" kubernetes-validate
	$(BIN)/python -m pytest tests/unit/studies/test_clusters.py tests/unit/studies/test_workers.py tests/unit/cli/test_requeue.py \
		tests/unit/files/test_s3.py tests/examples/test_cluster_scripts.py

# On a bare machine with a GPU there may be no registry: whatever Python has torch and the requirements will do.
gpu:
	PYTHONPATH=. OMP_NUM_THREADS=1 $(or $(wildcard $(BIN)/python),$(PYTHON)) -m benchmarks.gpu

chaos: .venv/full.stamp
	$(BIN)/python tests/faults/chaos.py 500

mutants: .venv/full.stamp
	$(BIN)/python tests/faults/mutants.py

check: lint types layers fast docs

format: .venv/full.stamp
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lint: .venv/full.stamp
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: .venv/full.stamp
	$(BIN)/mypy

layers: .venv/full.stamp
	$(BIN)/lint-imports

fast: .venv/full.stamp
	$(BIN)/python -m pytest -q -n $(WORKERS) -m "not slow" $(FAST)

docs: .venv/full.stamp
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

bench: .venv/full.stamp
	$(BIN)/python -m benchmarks
	$(BIN)/python benchmarks/envs.py

clean:
	rm -rf .venv site build dist .mypy_cache .ruff_cache .pytest_cache
