# What a developer does here. `make` alone lists it.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help run test test-faults bench check-client lint check-fmt check-clippy check-docs check-scripts check-licences fmt fuzz tools clean-data

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: ## the demo: the service, simulated traffic, and a live table (KEEP=1 keeps the data of the last run)
	@python3 scripts/run.py

# Most tests wait for a process or for a pause to be over: more of them at once than there are cores.
TEST_THREADS ?= 6

test: tools ## all tests, on SQLite and PostgreSQL, and the check with an independent NATS client
	scripts/with-postgres env RUST_TEST_THREADS=$(TEST_THREADS) cargo test --workspace --locked
	$(MAKE) --no-print-directory check-client

test-faults: tools ## kill, freeze, cut and fill what igstream depends on, again and again: a line a fault (20 minutes)
	@log=$$(mktemp) && trap 'rm -f "$$log"' EXIT && \
	IGSTREAM_TEST_FAULTS=long scripts/with-postgres cargo test --quiet --locked --test it faults:: -- \
		--test-threads 1 >"$$log" || { cat "$$log"; exit 1; }

# As `make test` builds it: alone it would be built with other features, and all of its dependencies once more.
check-client: tools ## what other services find on NATS, read with nats-py
	scripts/fetch-tools --python
	cargo test --workspace --locked --no-run
	python3 tests/independent_client.py

# Which parts and how often, as in BENCH="--only accept,drain --runs 1"; all of it without.
BENCH ?=

bench: tools ## measure what it takes, beside the disk, the database and the usual design (40 minutes; BENCH="--help")
	scripts/fetch-usual-design
	cargo build --release --locked --workspace
	scripts/with-postgres target/release/bench $(BENCH)

lint: check-fmt check-clippy check-docs check-scripts check-licences ## format, clippy, documentation, scripts, licences

check-fmt:
	cargo fmt --all --check
	rustfmt --edition 2024 --check src/instagram/types/*.rs

check-clippy:
	cargo clippy --workspace --all-targets --locked -- -D warnings

check-docs:
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --locked

check-scripts:
	bash -n scripts/fetch-tools scripts/fetch-usual-design scripts/lib.sh .ci/run
	python3 -c 'import ast, sys; [ast.parse(open(path).read(), path) for path in sys.argv[1:]]' \
		scripts/*.py scripts/with-postgres scripts/fuzz-seeds tests/*.py

check-licences:
	@if cargo deny --version >/dev/null 2>&1; then \
		cargo deny check licenses bans sources; \
	else \
		echo "skipped: cargo deny check licenses bans sources (cargo-deny is not installed)"; \
	fi

fmt: ## format the code
	cargo fmt --all
	rustfmt --edition 2024 src/instagram/types/*.rs

SECONDS ?= 60
FUZZ_TARGETS := signature delivery event_id journal

fuzz: ## feed anything at all to what reads Instagram's bytes (SECONDS=60 each; needs cargo-fuzz)
	@cargo fuzz --version >/dev/null 2>&1 || { echo "cargo-fuzz is missing: cargo install cargo-fuzz --locked"; exit 1; }
	scripts/fuzz-seeds
	for target in $(FUZZ_TARGETS); do \
		cargo fuzz run --sanitizer none $$target -- -max_total_time=$(SECONDS) -max_len=16384 -timeout=20; \
	done

tools: ## fetch nats-server into .tools/bin
	@scripts/fetch-tools

clean-data: ## remove the data of the demo
	rm -rf data/demo
