# `make` prints the targets. Everything is set up here: a machine needs Rust, Python 3.11 or newer with venv, and make.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SETUP_DONE := $(VENV)/.setup-done
WHEEL_INSTALLED := $(VENV)/.wheel-installed
WHEEL_SOURCES := Cargo.toml Cargo.lock pyproject.toml notifier_plugin.py $(shell find src python -type f -not -name '*.pyc' 2>/dev/null)

# The tools of the environment, whatever is active in the caller's shell.
unexport VIRTUAL_ENV PYTHONPATH PYTHONHOME CONDA_PREFIX
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.DEFAULT_GOAL := help
.PHONY: help setup build standin test test-rust test-python soak demo pictures wheel lint

help: ## print the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

setup: $(SETUP_DONE) ## make .venv and install the tools, at the versions and hashes of requirements-dev.txt

$(SETUP_DONE): requirements-dev.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "$(PYTHON) is older than 3.11: make PYTHON=/path/to/python3.11"; exit 1; }
	$(PYTHON) -m venv --clear $(VENV)
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements-dev.txt
	@touch $@

build: $(WHEEL_INSTALLED) standin ## build a debug wheel into .venv, and the stand-ins

$(WHEEL_INSTALLED): $(SETUP_DONE) $(WHEEL_SOURCES)
	rm -rf target/wheels
	$(BIN)/maturin build --profile dev --locked --compatibility linux --out target/wheels
	$(BIN)/python -m pip install --quiet --no-index --no-deps --force-reinstall target/wheels/*.whl
	@touch $@

standin:
	cargo build --locked --package standin

test: build ## run every test: Rust, the documentation's examples, Python, the embedding
	$(BIN)/python -m tests.run_all rust docs python embedding

test-rust: $(SETUP_DONE) ## run the Rust tests and the documentation's examples alone
	$(BIN)/python -m tests.run_all rust docs

test-python: build ## run the Python tests alone; INFLUXDB3=/path/to/influxdb3 runs them on a real server
	$(BIN)/python -m tests.run_all python

soak: build ## run the long tests: ten minutes of mixed traffic with faults; SOAK_SECONDS=60 for less
	SOAK_SECONDS=$${SOAK_SECONDS:-600} $(BIN)/python -m pytest -q tests/faults/test_traffic.py

demo: build ## notify every channel and show what happened; INFLUXDB3=/path/to/influxdb3 does it on a real server
	$(BIN)/python -m tests.demo

pictures: build ## draw the pictures of docs/channels.md anew; needs Chromium and two fonts, and says which
	$(BIN)/python -m docs.pictures

wheel: $(SETUP_DONE) ## build the release wheel into dist/
	rm -rf dist
	$(BIN)/maturin build --release --locked --out dist

lint: build ## check formatting, lints, types and stubs, Rust and Python
	cargo fmt --all --check
	cargo clippy --locked --workspace --exclude embedding --all-targets --no-default-features -- -D warnings
	cargo clippy --locked --package influxdb3-notifier --all-targets -- -D warnings
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/stubtest --mypy-config-file pyproject.toml influxdb3_notifier
	@if cargo deny --version >/dev/null 2>&1; then cargo deny --locked check; \
		else echo "cargo-deny: not run: it is not installed (cargo install cargo-deny)"; fi
