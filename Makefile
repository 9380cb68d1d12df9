# Everything a person or a pipeline does here. Needs Linux, make and Python 3.11; uv is installed here where there is none.

UV_VERSION := 0.13.8
UV := $(or $(shell command -v uv),.bootstrap/bin/uv)
RUN := $(UV) run --no-sync
PYTEST := $(RUN) pytest -n 3 --dist loadgroup
# Several processes share the cores. (The long tests of faults run with the threads that users have.)
ONE_THREAD := POLARS_MAX_THREADS=1 TOKIO_WORKER_THREADS=1

# Python that is compiled is kept: every process of a test would do it again, for a second.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help install dev test test-full lint bench pictures clean
.DEFAULT_GOAL := help

help: ## what there is
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 20

install: | $(UV) ## everything that uv.lock names, into .venv
	@$(UV) sync --frozen --quiet --compile-bytecode

dev: install ## stand-ins for AWS, Dagster and a simulator, until Ctrl-C (SHOPWARE_HOME, SHOPWARE_PORT)
	@$(or $(UV_PROJECT_ENVIRONMENT),.venv)/bin/python -m deploy.dev

test: install ## the tests, without the long ones
	$(ONE_THREAD) $(PYTEST) -m "not long"

test-full: test ## all tests
	$(ONE_THREAD) $(PYTEST) -m long --ignore shopware_assets_tests/faults
	$(PYTEST) -m long shopware_assets_tests/faults

lint: install ## style, types and which package may import which
	$(RUN) ruff check
	$(RUN) ruff format --check
	$(RUN) mypy
	$(RUN) lint-imports

bench: install ## speed and memory beside DuckDB and PySpark, into benchmarks/results.md
	$(RUN) python benchmarks/bench.py

pictures: install ## the pictures of the README, taken anew (needs chromium and the sample)
	SHOPWARE_PICTURES=1 $(RUN) pytest shopware_assets_tests/browser

clean: ## removes caches and generated data (not .shopware, which is yours)
	rm -rf .pytest_cache .hypothesis .mypy_cache .ruff_cache .import_linter_cache .bootstrap benchmarks/data
	find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +

# A venv of its own, or a folder of its own where Python has pip but no venv: neither minds a system that manages itself.
.bootstrap/bin/uv:
	@echo "Installing uv $(UV_VERSION) into .bootstrap (there is none here), then the packages: 3 GB, some minutes"
	@python3 -m venv .bootstrap && .bootstrap/bin/python -m pip install --quiet uv==$(UV_VERSION) \
	|| python3 -m pip install --quiet --target .bootstrap uv==$(UV_VERSION) \
	|| { echo "This Python can install nothing: apt-get install python3-venv, or install uv." >&2; exit 1; }
