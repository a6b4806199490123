# The commands of this project; `make help` lists them.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
PYTHON ?= python3
export PATH := $(CURDIR)/.venv/bin:$(PATH)
export PYTHONUTF8 := 1

.PHONY: help run test test-peers test-beam test-gpu test-containers image-tests test-cluster check format image ui explore up-local down-local sbom site lock clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# `value` keeps a $ in SET, which make would otherwise expand as a variable.
SET ?=
override SET := $(value SET)
export SET
# `pipelines overrides` quotes the options for a shell; `eval` removes the quotes.
run: .venv/run ## Prepare, train, evaluate and register (PRESET=fashion uses presets/fashion.yaml; SET='train.steps=20000 …' overrides)
	$(if $(PRESET)$(SET),options="$$(python -m pipelines overrides $(if $(PRESET),presets/$(PRESET).yaml) --set "$$SET")"; \
	  eval "options=($$options)"; dvc exp run "$${options[@]}",dvc repro)

# Two processes. Each runs whole test files, so that the shared fixtures of a file are created once, in their order:
# by default the files with the fewest tests, which are the longest ones, would run last.
PARALLEL = --numprocesses 2 --dist loadfile --no-loadscope-reorder
test: .venv/dev ## Run every test of behaviour (make check also repeats some with other sizes, presets and modalities)
	pytest $(PARALLEL) -m 'not repetition'

# The image's own tests are skipped unless TEST_IMAGE names the image.
test-containers: .venv/dev ## Build the image and run the compiled pipelines in it (installs a Docker engine if there is none)
	tests/containers/with_engine.sh $(MAKE) image-tests IMAGE=gan-pipeline:test

image-tests: image
	TEST_IMAGE=$(IMAGE) pytest tests/containers

# tests/cluster/conftest.py lists the variables; without them every test is skipped. Most of the time of a run is waiting,
# so two run at a time; the tests that stop MLflow, or Kubeflow's API server, run last and alone.
CLUSTER := -v -rs --durations=0 --durations-min=1
OUTAGES := tests/cluster/test_cluster_outages.py
test-cluster: .venv/dev ## Run, kill and cancel pipelines on a real Kubeflow that may be disturbed (docs/cluster-tests.md)
	others=0; pytest $(CLUSTER) tests/cluster -n 2 --dist loadfile --ignore=$(OUTAGES) || others=$$?; \
	  pytest $(CLUSTER) $(OUTAGES) && exit $$others

test-peers: .venv/dev .venv-peers/done ## Compare the evaluator with torch-fidelity, pytorch-fid, clean-fid and prdc
	pytest tests/peers

# Prism, Beam's portable server, is skipped unless its program is installed.
test-beam: .venv-beam/done ## Test the engine Apache Beam (in its own environment)
	.venv-beam/bin/pytest tests/beam

# GPU_PAGE is the page that gets the result. Without a GPU, it stays as it is.
test-gpu: .venv-gpu/done ## Compare the GPU with the CPU, and write the result into docs/gpu.md (skipped without a GPU)
	GPU_PAGE=docs/gpu.md .venv-gpu/bin/pytest tests/gpu

check: .venv/dev ## Check format, lint, types and import rules, and run all tests with their repetitions
	ruff format --check .
	ruff check .
	mypy
	lint-imports
	pytest $(PARALLEL)

format: .venv/dev ## Format the code and apply the linter's automatic fixes
	ruff format .
	ruff check --fix .

ACCELERATOR ?= cpu
IMAGE ?= gan-pipeline:$(ACCELERATOR)
image: ## Build the image of every component and print its digest (ACCELERATOR=gpu for CUDA, beam for Apache Beam)
	docker build --quiet $(BUILD_OPTIONS) --tag $(IMAGE) --build-arg ACCELERATOR=$(ACCELERATOR) \
	  --build-arg REVISION=$$(git rev-parse HEAD) \
	  --build-arg DIRTY=$$(git diff --quiet HEAD && echo false || echo true) \
	  --build-arg VERSION=$$(sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml) \
	  --build-arg SOURCE=$$(git config remote.origin.url | sed 's#//[^/@]*@#//#') .
	@docker image inspect --format '$(IMAGE) {{.Id}} {{.Size}} bytes{{range .RepoDigests}} {{.}}{{end}}' $(IMAGE)

ui: .venv/run ## Open the MLflow UI on http://127.0.0.1:5000
	@python -m components.mlflow_ui --port 5000

# MLflow's database is that of the project, as for `make ui`.
explore: .venv-explore/done ## Open a page for looking at generators, and for blind votes, on http://127.0.0.1:7860
	@.venv-explore/bin/python -m components.explore --port 7860

up-local: .venv/dev ## Start MLflow on PostgreSQL and an emulated bucket; use: eval "$(make -s up-local)"
	@python infra/local/services.py up

down-local: ## Stop the services of up-local and remove their data
	@python infra/local/services.py down

sbom: .venv/dev .venv-sbom/done ## Write build/sbom.json (CycloneDX) for the environment, and docs/licences.md from it
	mkdir -p build
	.venv-sbom/bin/cyclonedx-py environment --output-reproducible --of JSON -o build/sbom.json .venv
	python infra/licences.py build/sbom.json

site: .venv-site/done ## Write the documentation as a site into build/site, and check its links
	.venv-site/bin/mkdocs build

# No public index has PyTorch's light build, so its hash is added to the standard build's hashes in the lock.
LIGHT_TORCH = \    --hash=sha256:6746dbcbeb526eb61330b76b41ff1b4eb848951103a892eeb080dfa2b264667b \\
LOCK = --universal --python-version 3.11 --generate-hashes --no-header
# Each lock replaces `tensorflow` by the build for its device.
CPU = --override requirements-cpu.in pyproject.toml requirements-cpu.in
GPU = --override requirements-gpu.in pyproject.toml requirements-gpu.in
lock: .venv/uv ## Resolve the dependencies in pyproject.toml into new hashed requirements files
	uv pip compile $(LOCK) --upgrade --group dev $(CPU) -o requirements-dev.txt
	uv pip compile $(LOCK) -c requirements-dev.txt --group local $(CPU) -o requirements.txt
	uv pip compile $(LOCK) -c requirements-dev.txt --group components $(CPU) -o requirements-image-cpu.txt
	uv pip compile $(LOCK) -c requirements-dev.txt --group components $(GPU) -o requirements-image-gpu.txt
	uv pip compile $(LOCK) --upgrade --group beam $(CPU) -o requirements-image-beam.txt
	uv pip compile $(LOCK) -c requirements-dev.txt requirements-gpu-tests.in -o requirements-gpu-tests.txt
	uv pip compile $(LOCK) --upgrade --group explore $(CPU) -o requirements-explore.txt
	uv pip compile $(LOCK) requirements-sbom.in -o requirements-sbom.txt
	uv pip compile $(LOCK) --upgrade requirements-site.in -o requirements-site.txt
	uv pip compile $(LOCK) --upgrade requirements-peers.in -o requirements-peers.txt
	sed -i 's/^torch==2.13.0 .*/&\n$(LIGHT_TORCH)/' requirements-peers.txt
	cd infra/mlflow && uv pip compile $(LOCK) -c ../../requirements-dev.txt requirements.in -o requirements.txt

clean: ## Remove the environment, checkpoints and outputs; keep the DVC cache and the MLflow database
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

.venv-sbom/done: requirements-sbom.txt
	$(PYTHON) -m venv .venv-sbom
	.venv-sbom/bin/pip install --quiet --disable-pip-version-check --require-hashes -r requirements-sbom.txt
	touch $@

.venv-site/done: requirements-site.txt .venv/uv
	uv venv --quiet --clear --python $(PYTHON) .venv-site
	VIRTUAL_ENV=$(CURDIR)/.venv-site uv pip install --quiet --require-hashes -r requirements-site.txt
	touch $@

.venv-gpu/done: requirements-image-gpu.txt requirements-gpu-tests.txt .venv/uv
	uv venv --quiet --clear --python $(PYTHON) .venv-gpu
	VIRTUAL_ENV=$(CURDIR)/.venv-gpu uv pip install --quiet --require-hashes -r requirements-image-gpu.txt \
	  -r requirements-gpu-tests.txt
	touch $@

.venv-explore/done: requirements-explore.txt .venv/uv
	uv venv --quiet --clear --python $(PYTHON) .venv-explore
	VIRTUAL_ENV=$(CURDIR)/.venv-explore uv pip install --quiet --require-hashes -r requirements-explore.txt
	touch $@

.venv-beam/done: requirements-image-beam.txt requirements-gpu-tests.txt .venv/uv
	uv venv --quiet --clear --python $(PYTHON) .venv-beam
	VIRTUAL_ENV=$(CURDIR)/.venv-beam uv pip install --quiet --require-hashes -r requirements-image-beam.txt \
	  -r requirements-gpu-tests.txt
	touch $@

# pip and not uv, because pip's own settings may name an index with PyTorch's light build.
.venv-peers/done: requirements-peers.txt
	$(PYTHON) -m venv .venv-peers
	.venv-peers/bin/pip install --quiet --disable-pip-version-check --require-hashes -r requirements-peers.txt
	touch $@
