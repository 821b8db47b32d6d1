# Two commands do everything: `make demo` and `make test`. Both make .venv from the locked versions first.
SHELL := /bin/bash
.SHELLFLAGS := -o pipefail -c
PYTHON ?= python3
BIN := .venv/bin
# pip's own lines, told as one that counts.
COUNT := awk '/^Collecting/ { printf "\r  %d packages fetched", ++n; fflush() } /^Installing/ { printf "\n  installing them\n"; fflush() }'
PROTOS := sidecar/v1/prediction.proto sidecar/v1/admin.proto sidecar/oip/open_inference.proto

.PHONY: help setup demo test lint types unit proto lock clean

help: ## Show the commands
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 10

setup: .venv/ready ## Make .venv from the locked versions

.venv/ready: requirements/all.txt pyproject.toml
	@echo "Setting up .venv from requirements/all.txt (once; about a minute)"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed: make PYTHON=python3.12"; exit 2; }
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --disable-pip-version-check --progress-bar off --require-hashes -r requirements/all.txt | $(COUNT)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

# The Triton client needs protobuf below 7, so it lives in an environment of its own.
.venv-triton/ready: requirements/triton.txt
	@echo "Setting up .venv-triton (once): the Triton client, for the protocol test"
	@$(PYTHON) -m venv .venv-triton
	@.venv-triton/bin/python -m pip install --disable-pip-version-check --progress-bar off --require-hashes -r requirements/triton.txt | $(COUNT)
	@touch $@

demo: setup ## Real flights: train, serve, shadow, decide, swap, roll back
	@$(BIN)/python examples/flights/demo.py

test: lint types unit ## Everything CI checks

lint: setup
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@cd proto && ../$(BIN)/buf lint

types: setup
	@$(BIN)/mypy

unit: setup .venv-triton/ready
	@$(BIN)/python -m pytest

proto: setup ## Build the Python code of proto/
	@$(BIN)/python -m grpc_tools.protoc -I proto --python_out=. --pyi_out=. --grpc_python_out=. $(PROTOS)

lock: setup ## Write requirements/*.txt anew from pyproject.toml
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --upgrade pyproject.toml -o requirements/serve.txt
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --upgrade --extra trainer --extra flights --extra dev pyproject.toml -o requirements/all.txt
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --upgrade requirements/triton.in -o requirements/triton.txt

clean: ## Remove everything that was made
	@rm -rf .venv .venv-triton var .mypy_cache .ruff_cache .pytest_cache .hypothesis
