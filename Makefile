# `make` prints the targets. Everything is set up here: a machine needs Rust, Python 3.11 or newer with venv, and make.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SETUP_DONE := $(VENV)/.setup-done
WHEEL_INSTALLED := $(VENV)/.wheel-installed
BENCH_VENV := bench/.venv
BENCH_BIN := $(BENCH_VENV)/bin
BENCH_SETUP_DONE := $(BENCH_VENV)/.setup-done
BENCH_WHEEL_INSTALLED := $(BENCH_VENV)/.wheel-installed
RELEASE_VENV := release/.venv
RELEASE_BIN := $(RELEASE_VENV)/bin
RELEASE_SETUP_DONE := $(RELEASE_VENV)/.setup-done
SITE_VENV := docs/site/.venv
SITE_BIN := $(SITE_VENV)/bin
SITE_SETUP_DONE := $(SITE_VENV)/.setup-done
WHEEL_SOURCES := Cargo.toml Cargo.lock pyproject.toml notifier_plugin.py $(shell find src core jetstream python -type f -not -name '*.pyc' 2>/dev/null)

# The tools of the environment, whatever is active in the caller's shell.
unexport VIRTUAL_ENV PYTHONPATH PYTHONHOME CONDA_PREFIX
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.DEFAULT_GOAL := help
.PHONY: help setup build standin test test-rust test-python test-servers soak fuzz demo pictures completions wheel wheels \
	reproducible site site-serve bench bench-programs lint deny

# Tools that are written in Rust, at known versions, in a place of their own.
TOOLS := target/tools
CARGO_DENY := $(TOOLS)/.cargo-deny-0.20.2
CARGO_FUZZ := $(TOOLS)/.cargo-fuzz-0.13.2
TOOL := PATH="$(CURDIR)/$(TOOLS)/bin:$$PATH" cargo

$(TOOLS)/.cargo-deny-%:
	cargo install --quiet --locked --root $(TOOLS) cargo-deny --version $*
	@touch $@

$(TOOLS)/.cargo-fuzz-%:
	cargo install --quiet --locked --root $(TOOLS) cargo-fuzz --version $*
	@touch $@

help: ## print the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-14s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

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
	$(BIN)/maturin build --profile dev --features test-util --locked --compatibility linux --out target/wheels
	$(BIN)/python -m pip install --quiet --no-index --no-deps --force-reinstall target/wheels/*.whl
	@touch $@

# With the tests' own programs: what all share is compiled once.
standin:
	cargo build --locked --package standin --package rust-tests --bins

test: build ## run every test: Rust, the documentation's examples, Python, the embedding
	$(BIN)/python -m tests.run_all rust docs python embedding

test-rust: $(SETUP_DONE) ## run the Rust tests and the documentation's examples alone
	$(BIN)/python -m tests.run_all rust docs

test-python: build ## run the Python tests alone; INFLUXDB3=/path/to/influxdb3 runs them on a real server
	$(BIN)/python -m tests.run_all python

test-servers: build ## run the tests against real servers (Alertmanager, Postfix, Prometheus) as far as they are installed; says what it did not run
	TEST_SERVERS=1 $(BIN)/python -m pytest -q -rs tests/servers

soak: build ## run the long tests: a hundred kills of processes, twenty of NATS servers, ten minutes of mixed traffic with faults; SOAK_SECONDS=60 OUTBOX_KILLS=10 NATS_KILLS=2 for less
	OUTBOX_KILLS=$${OUTBOX_KILLS:-100} OUTBOX_STOP_SECONDS=$${OUTBOX_STOP_SECONDS:-40} NATS_KILLS=$${NATS_KILLS:-20} SOAK_SECONDS=$${SOAK_SECONDS:-600} \
		$(BIN)/python -m pytest -q tests/faults/test_outbox_kills.py tests/faults/test_outbox_owners.py tests/faults/test_jetstream_kills.py \
		tests/faults/test_traffic.py
	@if unshare --net true 2>/dev/null && command -v ip >/dev/null; then \
		unshare --net --mount sh -c 'ip link set lo up && exec $(BIN)/python -m pytest -q -s tests/faults/partition.py'; \
	else echo "a server cut off by the network: not run, since this user may make no network namespaces"; fi

FUZZ_SECONDS ?= 30
FUZZ := $(TOOL) fuzz run --fuzz-dir fuzz --target-dir target/fuzz --sanitizer none

fuzz: $(CARGO_FUZZ) ## feed what reads foreign bytes with made-up ones, 30 s each; FUZZ_SECONDS=600 for more; needs a C++ compiler
	@mkdir -p target/fuzz/artifacts
	@for target in $$(ls fuzz/seeds); do \
		mkdir -p target/fuzz/corpus/$$target; \
		echo "fuzz: $$target, $(FUZZ_SECONDS) s"; \
		$(FUZZ) $$target target/fuzz/corpus/$$target fuzz/seeds/$$target -- -max_total_time=$(FUZZ_SECONDS) -timeout=10 \
			-artifact_prefix=target/fuzz/artifacts/$$target- >target/fuzz/$$target.log 2>&1 || { \
			tail -n 40 target/fuzz/$$target.log; \
			echo "fuzz: $$target has found something, or was not built: target/fuzz/$$target.log. Mend it, and keep the file" \
				"target/fuzz/artifacts/$$target-… in fuzz/seeds/$$target: make test tries it from then on"; \
			exit 1; }; \
		grep -o '^Done [0-9]* runs' target/fuzz/$$target.log; \
	done

demo: build ## notify every channel and show what happened; INFLUXDB3=/path/to/influxdb3 does it on a real server
	$(BIN)/python -m tests.demo

pictures: build ## draw the pictures of docs/channels.md anew; needs Chromium and two fonts, and says which
	$(BIN)/python -m docs.pictures

wheel: $(SETUP_DONE) ## build the release wheel into dist/
	rm -rf dist
	$(BIN)/maturin build --release --locked --out dist

# An environment of its own: zig is large.
$(RELEASE_SETUP_DONE): release/requirements.txt
	$(PYTHON) -m venv --clear $(RELEASE_VENV)
	$(RELEASE_BIN)/python -m pip install --quiet --require-hashes -r release/requirements.txt
	@touch $@

WHEEL_TARGETS ?= x86_64-unknown-linux-gnu aarch64-unknown-linux-gnu

wheels: $(RELEASE_SETUP_DONE) ## build a release's Linux wheels into dist/ by zig, check them, use this machine's; PYTHONS="python3.13 …" with more
	$(RELEASE_BIN)/python -m release.wheels --out dist $(WHEEL_TARGETS)
	$(RELEASE_BIN)/python -m release.check dist/*.whl
	$(RELEASE_BIN)/python release/smoke.py dist $(PYTHONS)

reproducible: $(RELEASE_SETUP_DONE) ## build a release wheel twice, in two places, and compare the bytes
	$(RELEASE_BIN)/python -m release.reproducible

$(SITE_SETUP_DONE): docs/site/requirements.txt
	$(PYTHON) -m venv --clear $(SITE_VENV)
	$(SITE_BIN)/python -m pip install --quiet --require-hashes -r docs/site/requirements.txt
	@touch $@

site: $(SITE_SETUP_DONE) ## make the documentation's site in target/site; a broken link is an error
	NO_MKDOCS_2_WARNING=1 $(SITE_BIN)/mkdocs build --strict

site-serve: $(SITE_SETUP_DONE) ## show the documentation's site on loopback, anew at each change
	NO_MKDOCS_2_WARNING=1 $(SITE_BIN)/mkdocs serve --strict

completions: build ## write the completion scripts of the command line from its parser
	$(BIN)/python -m tests.cli.completions

bench: $(BENCH_WHEEL_INSTALLED) bench-programs ## measure beside the peers: table, bench/results.json, pictures; BENCH_QUICK=1 for a look, ROUNDS=5 for more
	$(BENCH_BIN)/python -m bench

# An environment of its own: the release wheel, the peers, and what draws.
$(BENCH_SETUP_DONE): bench/requirements.txt $(SETUP_DONE)
	$(PYTHON) -m venv --clear $(BENCH_VENV)
	$(BENCH_BIN)/python -m pip install --quiet --require-hashes -r bench/requirements.txt
	@touch $@

$(BENCH_WHEEL_INSTALLED): $(BENCH_SETUP_DONE) $(WHEEL_SOURCES)
	rm -rf target/bench/wheels
	$(BIN)/maturin build --release --locked --compatibility linux --out target/bench/wheels
	$(BENCH_BIN)/python -m pip install --quiet --no-index --no-deps --force-reinstall target/bench/wheels/*.whl
	@touch $@

bench-programs:
	cargo build --release --locked --package standin --package bench

lint: build ## check formatting, lints, unused dependencies, types and stubs, Rust and Python
	@cargo clippy --version >/dev/null && cargo fmt --version >/dev/null || \
		{ echo "make lint needs clippy and rustfmt: rustup component add clippy rustfmt"; exit 1; }
	cargo fmt --all --check
	cargo clippy --locked --workspace --exclude embedding --all-targets -- -D warnings
	cargo clippy --locked $(patsubst %,--package %,$(IN_THE_WHEEL)) --lib -- -D unused-crate-dependencies
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/stubtest --mypy-config-file pyproject.toml influxdb3_notifier
	cargo fmt --manifest-path fuzz/Cargo.toml --check
	@cargo metadata --manifest-path fuzz/Cargo.toml --locked --format-version 1 >/dev/null || \
		{ echo "fuzz/Cargo.lock is not up to date: cargo update --manifest-path fuzz/Cargo.toml --workspace"; exit 1; }
	@$(MAKE) --no-print-directory deny

# The crates of the wheel.
IN_THE_WHEEL := influxdb3-notifier notifier-core notifier-jetstream

# What needs the network is said when it is not run: the tool itself, and the database of advisories.
deny:
	@if $(MAKE) -s --no-print-directory $(CARGO_DENY); then \
		$(TOOL) deny --locked --workspace check bans licenses sources && \
		if $(TOOL) deny fetch db >/dev/null 2>&1; then $(TOOL) deny --locked --workspace check advisories; \
			else echo "cargo-deny: advisories not checked: their database cannot be reached"; fi; \
	else echo "cargo-deny: not run: it cannot be installed"; fi
