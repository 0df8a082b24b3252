# Two commands on a fresh machine: `make campaign` and `make test`. Each makes .venv from the lock file first.

PYTHON ?= python3
BIN := .venv/bin
# Installed once for each content of the lock file; uv, which installs it, comes from the package index like the rest.
READY := .venv/ready

.PHONY: help campaign test test-slow test-lab check bench lock clean

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

campaign: $(READY) ## run the study on this machine: figures and a summary, in four minutes
	$(BIN)/fab deploy run-campaign

test: $(READY) ## all tests that fit in eight minutes
	$(BIN)/python -m pytest -n 4 --dist worksteal -m "not slow" tests/unit tests/models
	@# One after the other: campaigns pin cores and judge what else runs.
	$(BIN)/python -m pytest -m "not slow" tests/local

test-slow: $(READY) ## those that take longer
	$(BIN)/python -m pytest -m "slow and not lab"

test-lab: $(READY) ## those on several hosts, made on this machine: needs root, iproute2, openssh-server
	$(BIN)/python -m pytest -m lab

check: $(READY) ## style, types and the rules of the house
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(READY) ## what the load generator, each model and the analysis cost
	$(BIN)/python -m benchmarks.generator
	$(BIN)/python -m benchmarks.servers
	$(BIN)/python -m benchmarks.analysis

lock: $(READY) ## resolve the newest releases again
	$(BIN)/uv pip compile pyproject.toml --group dev --group servers --generate-hashes --no-header --no-emit-index-url --quiet --upgrade -o requirements.lock
	$(BIN)/uv pip compile --group hosts --constraint requirements.lock --universal --python-version 3.11 --generate-hashes --no-header --no-emit-index-url --no-annotate --quiet -o requirements-hosts.lock

clean: ## remove what was installed and built here; results stay
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

$(READY): requirements.lock
	@command -v $(PYTHON) >/dev/null || \
		{ echo "There is no $(PYTHON) here: make PYTHON=/path/to/python3.11" >&2; exit 2; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "This needs Python 3.11 or newer, $(PYTHON) is older: make PYTHON=/path/to/python3.11" >&2; exit 2; }
	test -x $(BIN)/pip || $(PYTHON) -m venv .venv || { rm -rf .venv; exit 1; }
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements.lock
	touch $(READY)
