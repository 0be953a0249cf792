# Two commands for a fresh clone: `make up` and `make test`. `make help` lists the rest.
#
# Set-up makes .venv from the locks in requirements/ and is done again only when they change. Variables:
#   PYTHON       the Python to use; default: python3.11, python3.12 or python3, whichever fits first
#   TORCH_INDEX  a package index with torch's CPU build. Without it pip takes what its own index has, which
#                may be the build for NVIDIA GPUs: it works on a CPU, too, but is several GB larger.
#   ARGS         options for `crofai up`, chaos and the benchmarks, such as ARGS="--port 9000 --no-images"

PYTHON ?=
TORCH_INDEX ?=
ARGS ?=

BIN := .venv/bin
INDEX := $(if $(TORCH_INDEX),--extra-index-url "$(TORCH_INDEX)")
PIP = scripts/phase "$(1)" $(BIN)/python -m pip install --disable-pip-version-check --no-input $(INDEX)
TORCH := $(shell grep '^torch==' requirements/runtime.txt)
CLIENTS := tests/acceptance/clients
SCHEMAS := tests/helm
BROWSER := tests/browser

# One for each step of set-up, inside .venv, so that they go when it goes.
VENV := .venv/.made
RUNTIME := .venv/.runtime
PROJECT := .venv/.project
DEV := .venv/.dev

# What this system is measured beside, in an environment of its own.
PEERS := .bench/litellm

.PHONY: up test check audit chaos parity setup dev clients lock clean help
.PHONY: bench bench-batching bench-estimates bench-failover bench-gpu bench-leaving bench-plan bench-relay bench-scaling bench-sharing
.PHONY: bench-slow-reader bench-soak bench-spending bench-stalled

up: setup ## set up, and run the gateway, a language model and an image model
	@$(BIN)/crofai up $(ARGS)

test: setup dev clients ## set up, and run every test
	$(BIN)/python -m pytest

check: setup dev ## style, types, layering and unit tests, in under a minute
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -q tests/unit

audit: dev ## look for known vulnerabilities of the packages; says so if their database cannot be reached
	@$(BIN)/python scripts/audit.py

chaos: setup dev ## kill everything under load, two minutes, and look at every answer
	$(BIN)/python -m tests.chaos $(ARGS)

parity: setup dev ## every kind of request to vLLM's own server and to this system: the answers must be the same
	$(BIN)/python -W ignore -m tests.parity $(ARGS)

bench: setup dev $(PEERS)/.made ## this system, LiteLLM's proxy and the engine alone, in turn; writes docs/benchmarks.md
	$(BIN)/python -m bench.peers $(ARGS)

bench-batching: setup dev ## the cluster's throughput against the same engine alone, 16 streams
	VLLM_LOGGING_LEVEL=ERROR HF_HUB_OFFLINE=1 $(BIN)/python -W ignore -m bench.batching $(ARGS)

bench-estimates: setup dev ## what those who wait are told of their time, against what happens
	$(BIN)/python -m bench.estimates $(ARGS)

bench-gpu: setup dev ## true architectures on a GPU, alone and through the cluster; needs vLLM's CUDA build
	VLLM_LOGGING_LEVEL=ERROR HF_HUB_OFFLINE=1 $(BIN)/python -W ignore -m bench.gpu $(ARGS)

bench-failover: setup dev ## kill workers, gateways and Valkey, try after try; half an hour
	VLLM_LOGGING_LEVEL=ERROR $(BIN)/python -W ignore -m bench.failover $(ARGS)

bench-scaling: setup dev ## how cost grows with models, gateways, workers and waiting jobs
	$(BIN)/python -m bench.scaling $(ARGS)

bench-sharing: setup dev ## how accounts and tiers share a model when all come at once
	$(BIN)/python -m bench.sharing $(ARGS)

bench-slow-reader: setup dev ## what a reader of 1 KB/s costs twenty others, and the gateway
	$(BIN)/python -m bench.slow_reader $(ARGS)

bench-stalled: setup dev ## what 500 readers that take nothing cost twenty others, the gateway and Redis
	$(BIN)/python -m bench.stalled $(ARGS)

bench-spending: setup dev ## 200 spenders of one quota over two gateways, and what an admission costs
	$(BIN)/python -m bench.spending $(ARGS)

bench-soak: setup dev ## twenty minutes of steady load: memory that grows, and keys that are left over
	$(BIN)/python -m bench.soak $(ARGS)

bench-leaving: setup dev ## how soon the engine is free once a client has left
	VLLM_LOGGING_LEVEL=ERROR $(BIN)/python -W ignore -m bench.leaving $(ARGS)

bench-plan: setup dev ## what planned replicas cost and keep, against fixed ones and hindsight; fifteen minutes
	$(BIN)/python -m bench.planning $(ARGS)

bench-relay: setup dev ## tokens that the gateway relays per second of processor time
	$(BIN)/python -m bench.relay $(ARGS)

lock: setup ## pin the newest packages that pyproject.toml allows
	@scripts/phase "Resolving packages" $(BIN)/python scripts/lock.py

clean: ## remove what set-up and tests made; data/ stays
	rm -rf .venv .bench .setup *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	rm -rf $(CLIENTS)/node_modules $(SCHEMAS)/node_modules $(BROWSER)/node_modules
	find . -name __pycache__ -prune -exec rm -rf {} +

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-18s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(PROJECT)

dev: $(DEV)

$(VENV):
	@python=$$(PYTHON="$(PYTHON)" scripts/find-python) && \
		scripts/phase "Making .venv with $$python" "$$python" -m venv .venv
	@touch $@

# The locks are complete, so pip need resolve nothing; scripts/lock.py tells why it must not. Only torch's own
# requirements depend on the build that this machine's index has, so they alone are looked up.
$(RUNTIME): requirements/runtime.txt $(VENV)
	@$(call PIP,Installing packages (a few minutes)) --no-deps --only-binary=:all: -r requirements/runtime.txt
	@$(call PIP,Checking $(TORCH)) $(TORCH)
	@touch $@

$(PROJECT): pyproject.toml $(RUNTIME)
	@$(call PIP,Installing crofai itself) --no-deps --no-build-isolation --no-index --editable .
	@touch $@

$(DEV): requirements/dev.txt $(RUNTIME)
	@$(call PIP,Installing test tools) --no-deps --only-binary=:all: -r requirements/dev.txt
	@touch $@

$(PEERS)/.made: bench/peers/litellm.txt $(VENV)
	@scripts/phase "Making $(PEERS)" $(BIN)/python -m venv $(PEERS)
	@scripts/phase "Installing LiteLLM" $(PEERS)/bin/python -m pip install --disable-pip-version-check --no-input \
		--no-deps --only-binary=:all: -r bench/peers/litellm.txt
	@touch $@

# Clients in JavaScript, for the tests that use the API as the users of Node do, schemas for those of the chart, and
# a browser for those of the pages.
clients: $(CLIENTS)/node_modules/.made $(SCHEMAS)/node_modules/.made $(BROWSER)/node_modules/.made
	@scripts/browser >/dev/null

%/node_modules/.made: %/package.json %/package-lock.json
	@command -v npm >/dev/null || { echo "make test needs npm for its JavaScript clients: install Node.js 20 or newer" >&2; exit 1; }
	@scripts/phase "Installing JavaScript packages for $*" npm ci --prefix $* --no-audit --no-fund
	@touch $@
