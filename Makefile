# Two commands do everything: `make demo` and `make test`. Both make .venv from the locked versions first.
SHELL := /bin/bash
.SHELLFLAGS := -o pipefail -c
PYTHON ?= python3
BIN := .venv/bin
# pip's own lines, told as one that counts.
COUNT := awk '/^Collecting/ { printf "\r  %d packages fetched", ++n; fflush() } /^Installing/ { printf "\n  installing them\n"; fflush() }'
# cargo's lines, likewise.
COUNT_CRATES := awk '/Compiling sidecar-dataplane/ { printf "\n  and the engine itself, which takes longest"; fflush(); next } /Compiling/ { printf "\r  %d crates compiled", ++n; fflush() } END { print "" }'
CARGO := $(shell command -v cargo)
RUST := $(shell find dataplane/src -name '*.rs') dataplane/Cargo.toml dataplane/Cargo.lock dataplane/.cargo/config.toml
export PYO3_PYTHON := $(CURDIR)/.venv/bin/python
PROTOS := sidecar/v1/prediction.proto sidecar/v1/admin.proto sidecar/oip/open_inference.proto

# A module that was built before and no longer fits its source must not be taken for it.
FORGET_NATIVE := $(BIN)/python -m pip uninstall --quiet --yes model-sidecar-dataplane 2>/dev/null; rm -f .venv/native

.PHONY: help setup native demo test lint types rust unit bench soak proto lock clean

help: ## Show the commands
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 10

setup: .venv/ready ## Make .venv from the locked versions, with the native engine where cargo is there
ifdef CARGO
	@$(MAKE) --no-print-directory native || { $(FORGET_NATIVE); echo "The native engine is not built, as said above; going on with the python engine"; }
else
	@$(FORGET_NATIVE)
	@echo "There is no cargo to build the native engine with; going on with the python engine"
endif

.venv/ready: requirements/all.txt pyproject.toml
	@echo "Setting up .venv from requirements/all.txt (once; about a minute)"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed: make PYTHON=python3.12"; exit 2; }
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --disable-pip-version-check --progress-bar off --require-hashes -r requirements/all.txt | $(COUNT)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@rm -f .venv/native
	@touch $@

native: .venv/native ## Build the native engine into .venv; needs cargo and a C compiler

.venv/native: $(RUST) dataplane/pyproject.toml dataplane/sidecar_dataplane.pyi | .venv/ready
	@echo "Building the native engine from dataplane/ (the first time takes a few minutes)"
	@cd dataplane && VIRTUAL_ENV=$(CURDIR)/.venv ../$(BIN)/maturin develop --release --locked 2>&1 | tee ../.venv/native.log | $(COUNT_CRATES) || { tail -n 40 ../.venv/native.log; exit 1; }
	@touch $@

# The Triton client needs protobuf below 7, so it lives in an environment of its own.
.venv-triton/ready: requirements/triton.txt
	@echo "Setting up .venv-triton (once): the Triton client, for the protocol test"
	@$(PYTHON) -m venv .venv-triton
	@.venv-triton/bin/python -m pip install --disable-pip-version-check --progress-bar off --require-hashes -r requirements/triton.txt | $(COUNT)
	@touch $@

demo: setup ## Real flights: train, serve, shadow, decide, swap, roll back
	@$(BIN)/python examples/flights/demo.py

test: lint types rust unit ## Everything CI checks

lint: .venv/ready
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@cd proto && ../$(BIN)/buf lint

types: .venv/ready
	@$(BIN)/mypy

rust: .venv/ready ## Check dataplane/ and the load generator; build the latter, which tests use
ifdef CARGO
	@cd dataplane && cargo fmt --check
	@cd dataplane && cargo clippy --quiet --locked --all-targets --features python -- -D warnings
	@cd dataplane && cargo clippy --quiet --locked --all-targets -- -D warnings
	@cd dataplane && cargo test --quiet --locked
	@export CARGO_TARGET_DIR=$(CURDIR)/var/benchmarks/load && cd benchmarks/load && cargo fmt --check && cargo clippy --quiet --locked --all-targets -- -D warnings && cargo test --quiet --locked && cargo build --quiet --release --locked
else
	@echo "There is no cargo: the Rust code is not checked"
endif

unit: setup .venv-triton/ready
	@$(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile

bench: native ## Measure beside the peers (half an hour or more) and render docs/benchmarks
	@$(BIN)/python -m benchmarks run

soak: native ## Ten million requests, a new champion every second
	@$(BIN)/python -m benchmarks run soak

proto: .venv/ready ## Build the Python code of proto/
	@$(BIN)/python -m grpc_tools.protoc -I proto --python_out=. --pyi_out=. --grpc_python_out=. $(PROTOS)

lock: .venv/ready ## Write requirements/*.txt anew from pyproject.toml
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --upgrade pyproject.toml -o requirements/serve.txt
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --upgrade --extra trainer --extra flights --extra dev pyproject.toml -o requirements/all.txt
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --upgrade requirements/triton.in -o requirements/triton.txt
	@for peer in grpcio pygrpc_native mlserver kserve; do $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --upgrade benchmarks/peers/$$peer.in -o benchmarks/peers/$$peer.txt; done
	@for peer in evidently nannyml alibi_detect; do $(BIN)/uv pip compile --quiet --python-platform x86_64-manylinux_2_28 --python-version 3.11 --generate-hashes --no-header --upgrade benchmarks/peers/$$peer.in -o benchmarks/peers/$$peer.txt; done

clean: ## Remove everything that was made
	@rm -rf .venv .venv-triton dataplane/target var .mypy_cache .ruff_cache .pytest_cache .hypothesis
