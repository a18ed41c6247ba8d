# `make` alone lists the targets. Each makes the environment (.venv) first if it is missing or out of date.
# Variables: PYTHON=/path/to/python (3.12 or 3.13), PIPELINE_HOME=/folder/of/the/state, UPGRADE=1 (make lock).

PY := .venv/bin/python
SOURCES := pipeline_defs pipeline_tests benchmarks examples tools docs deploy
EXISTING = $(wildcard $(SOURCES))

# Containers often ask for no bytecode. Every command, run and worker here is a process of its own, and would compile
# what it imports anew: 5 of the 8 seconds that loading the definitions takes then.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help environment environment-dev environment-nautilus2 environment-rustybt demo ui docs test test-servers test-thorough check audit format bench fuzz stop clean lock hooks

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

environment: ## .venv with all that runs the product
	@sh tools/environment.sh runtime

environment-dev: ## the same and the tools of development
	@sh tools/environment.sh dev

environment-nautilus2: environment ## .venv-nautilus2, where catalogs for the pre-release of Nautilus 2 are verified
	@sh tools/nautilus2.sh

environment-rustybt: environment ## .venv-rustybt, where folders for rustybt are verified (a minute of compiling)
	@sh tools/rustybt.sh

demo: environment ## sample data in, verified catalogs out, a strategy in both engines, a summary
	@$(PY) -m pipeline_defs.demo

ui: environment ## the Dagster UI on the same state
	@.venv/bin/pipeline ui

docs: environment-dev ## the documentation's site, in .docs-site; a warning is an error
	@$(PY) -m sphinx -q -W --keep-going -b html docs .docs-site
	@echo "open .docs-site/index.html"

test: environment-dev environment-nautilus2 ## the tests, those of the database on three servers; fails below 90 % coverage
	@$(PY) -m pipeline_tests.servers

test-servers: environment-dev ## only the tests of the database on the two TimescaleDB servers (about 4 minutes)
	@$(PY) -m pipeline_tests.servers --server apache --server full

test-thorough: environment-dev environment-nautilus2 ## all tests with more examples, drawn anew: for a night
	@$(PY) -m pipeline_tests.servers --thorough

check: environment-dev ## lint, format and types
	@$(PY) -m ruff check $(EXISTING)
	@$(PY) -m ruff format --check $(EXISTING)
	@$(PY) -m mypy $(EXISTING)

audit: environment-dev ## advisories, hashes and licences of what is installed; its bill of materials in .sbom.json
	@$(PY) tools/audit.py --sbom .sbom.json

format: environment-dev ## put the code into the project's format
	@$(PY) -m ruff check --fix $(EXISTING)
	@$(PY) -m ruff format $(EXISTING)

bench: environment-dev ## the benchmarks, against their baselines
	@$(PY) -m benchmarks

fuzz: environment-dev ## every parser for a minute; TARGET=name SECONDS=n for one. Faults are kept in tmp-fuzz
	@PYTHONPATH=. $(PY) -W ignore tools/fuzz.py $(or $(TARGET),--all) --seconds $(or $(SECONDS),60)

stop: ## stop the embedded database
	@if [ -x $(PY) ]; then $(PY) -c 'from pipeline_defs.settings import load_settings; \
	from pipeline_defs.warehouse.embedded import stop; stop(load_settings().postgres_dir)'; fi

clean: stop ## remove the environment and all caches; the state in PIPELINE_HOME stays
	@rm -rf .venv .venv-tools .venv-nautilus2 .docs-site .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage .coverage.* htmlcov *.egg-info
	@find $(EXISTING) -name __pycache__ -type d -prune -exec rm -rf {} +

lock: ## pin the requirements anew (UPGRADE=1: newest versions)
	@sh tools/lock.sh $(if $(UPGRADE),--upgrade)

hooks: ## have every commit checked first
	@git config core.hooksPath tools/hooks && echo "Commits of this clone now run tools/hooks/pre-commit."
