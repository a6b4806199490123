# The commands of this project; `make help` lists them.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
PYTHON ?= python3
export PATH := $(CURDIR)/.venv/bin:$(PATH)
export PYTHONUTF8 := 1

.PHONY: help run test check format ui lock clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: .venv/run ## Prepare, train, evaluate, register (SET='train.steps=20000 …' overrides parameters)
	$(if $(SET),dvc exp run $(addprefix -S ,$(SET)),dvc repro)
	@python -m components.summary

test: .venv/dev ## Run the tests
	pytest

check: .venv/dev ## Format, lint, types, import rules, tests
	ruff format --check .
	ruff check .
	mypy
	lint-imports
	pytest

format: .venv/dev ## Format the code and mend what the linter can mend
	ruff format .
	ruff check --fix .

ui: .venv/run ## Open the MLflow UI on http://127.0.0.1:5000
	MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false mlflow server --host 127.0.0.1 --port 5000

lock: .venv/uv ## Resolve the dependencies of pyproject.toml anew into the hashed requirements files
	uv pip compile --upgrade --universal --python-version 3.11 --generate-hashes --no-header --group dev pyproject.toml -o requirements-dev.txt
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-header -c requirements-dev.txt pyproject.toml -o requirements.txt

clean: ## Remove the environment, checkpoints and outputs; keeps the DVC cache and the MLflow database
	rm -rf .venv checkpoints data/prepared models reports

# The environment: uv (pinned by hash) installs the hashed lock and compiles the bytecode.
.venv/uv: requirements-uv.txt
	$(PYTHON) -c 'import sys; sys.exit(0 if (3, 11) <= sys.version_info[:2] <= (3, 13) else "Python 3.11, 3.12 or 3.13 is needed. Received: " + sys.version.split()[0] + ". Set PYTHON=…")'
	$(PYTHON) -m venv .venv
	.venv/bin/pip install --quiet --disable-pip-version-check --require-hashes -r requirements-uv.txt
	touch $@

.venv/run: requirements.txt .venv/uv
	VIRTUAL_ENV=$(CURDIR)/.venv uv pip install --quiet --require-hashes --compile-bytecode -r requirements.txt
	touch $@

.venv/dev: requirements-dev.txt .venv/uv
	VIRTUAL_ENV=$(CURDIR)/.venv uv pip install --quiet --require-hashes --compile-bytecode -r requirements-dev.txt
	touch $@ .venv/run
