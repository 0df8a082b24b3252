# `make campaign` and `make test` work on a fresh machine: each first creates .venv from the lock file.

PYTHON ?= python3
BIN := .venv/bin
# Newer than requirements.lock when everything in it is installed. pip installs uv, uv installs the rest.
READY := .venv/ready

PYTEST := $(BIN)/python -m pytest

.PHONY: help campaign test test-quick test-slow test-lab check bench lock clean

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

campaign: $(READY) ## run the study on this machine: figures and a summary, in less than five minutes
	$(BIN)/fab deploy run-campaign

# Bytecode is kept, whatever the environment says: a run of the tests starts a thousand interpreters.
test test-quick test-slow test-lab: export PYTHONDONTWRITEBYTECODE :=

test: $(READY) ## all tests that fit in five minutes
	@# tests/conftest.py says which tests share one of the four processes.
	$(PYTEST) -n 4 -m "not slow and not lab"

test-quick: $(READY) ## those that serve while one works: less than a minute
	$(PYTEST) -n 2 -m quick

test-slow: $(READY) ## those that take longer
	$(PYTEST) -n 3 -m "slow and not alone and not lab"
	@# One after the other: they judge campaigns, and with them what else runs on the machine.
	$(PYTEST) -m alone

test-lab: $(READY) ## those on several hosts, made on this machine: needs root, iproute2, openssh-server
	$(PYTEST) -m lab

check: $(READY) ## style, types and import contracts
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(READY) ## measure what the load generator, each model, the analysis and the live page cost
	$(BIN)/python -m benchmarks.generator
	$(BIN)/python -m benchmarks.own_request
	$(BIN)/python -m benchmarks.own_locustfile
	$(BIN)/python -m benchmarks.servers
	$(BIN)/python -m benchmarks.analysis
	$(BIN)/python -m benchmarks.page_cost

lock: $(READY) ## resolve the newest releases of all dependencies
	$(BIN)/uv pip compile pyproject.toml --group dev --group servers --generate-hashes --no-header --no-emit-index-url --quiet --upgrade -o requirements.lock
	$(BIN)/uv pip compile --group hosts --constraint requirements.lock --universal --python-version 3.11 --generate-hashes --no-header --no-emit-index-url --no-annotate --quiet -o requirements-hosts.lock
	echo uv | $(BIN)/uv pip compile - --universal --python-version 3.11 --generate-hashes --no-header --no-emit-index-url --no-annotate --quiet --upgrade -o requirements-uv.lock

clean: ## remove .venv and caches; results stay
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

$(READY): requirements.lock requirements-uv.lock
	@command -v $(PYTHON) >/dev/null || \
		{ echo "$(PYTHON) not found: make PYTHON=/path/to/python3.11" >&2; exit 2; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "This needs Python 3.11 or newer, $(PYTHON) is older: make PYTHON=/path/to/python3.11" >&2; exit 2; }
	test -x $(BIN)/pip || $(PYTHON) -m venv .venv || { rm -rf .venv; exit 1; }
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements-uv.lock
	$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements.lock
	touch $(READY)
