# The doors of this repository, for people and for CI. `make` alone lists them.
# Each sets up what it needs, says what it does, and can be run again at once.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help setup build demo test lint bench fmt

# A shell that never read rustup's profile still finds it.
export PATH := $(PATH):$(HOME)/.cargo/bin
# Once here or exported, also seen by the scripts: `make demo KEEP=1`, `make bench PART=warm`.
export KEEP PART ROUNDS SECONDS_EACH CONNECTIONS RATE WORKERS FILTER
say = @printf '\n=== %s\n' '$(1)'

help: ## list what there is
	@printf 'Maelstrom. What make can do:\n\n'
	@sed -nE 's/^([a-z]+):.*## (.*)/  make \1|\2/p' $(MAKEFILE_LIST) | column -ts '|' 2>/dev/null \
	  || sed -nE 's/^([a-z]+):.*## (.*)/  make \1\t\2/p' $(MAKEFILE_LIST)

setup: ## compiler's needs and a Docker engine, where missing
	$(call say,Setting up)
	@tests/setup/packages build
	@tests/setup/docker

build: setup ## both programs (development profile)
	$(call say,Building maelstromd and maelctl)
	@cargo build --locked --package maelstromd --package maelctl

demo: setup ## a project on this machine: cold start, calls, cron (KEEP=1 leaves it running)
	$(call say,Building (the first time takes a few minutes))
	@cargo build --locked --profile fast --package maelstromd --package maelctl --package maelstrom-tests --bins
	@tests/demo/run

# The programs stand beside the test binaries in target/debug, where the suites look for them.
test: lint build ## everything that must hold: lint, unit, conformance, real containers (FILTER=name)
	$(call say,Building the test images)
	@cargo run --locked --quiet --package maelstrom-tests --bin app-image
	$(call say,Testing)
	@if cargo nextest --version >/dev/null 2>&1; then \
	  cargo nextest run --locked --workspace --no-fail-fast $(FILTER); \
	else \
	  cargo test --locked --workspace --no-fail-fast -- $(FILTER); \
	fi

lint: setup ## formatting, clippy and shell scripts; warnings are errors
	$(call say,Linting)
	@cargo fmt --all --check
	@cargo clippy --locked --workspace --all-targets -- -D warnings
	@for script in tests/setup/docker tests/setup/packages tests/setup/apt.sh tests/demo/run .ci/run; do bash -n $$script; done
	@if command -v shellcheck >/dev/null; then shellcheck -x tests/setup/docker tests/setup/packages tests/setup/apt.sh tests/demo/run .ci/run; fi

bench: setup ## against nginx and haproxy (PART=warm|latency|memory|cold|standby ROUNDS=6 SECONDS_EACH=3)
	@tests/setup/packages bench
	$(call say,Building what ships (whole-program optimisation: some minutes))
	@cargo build --locked --release --package maelstromd
	@cargo build --locked --profile fast --package maelstrom-tests --bins
	@target/fast/bench

fmt: ## format the sources
	@cargo fmt --all
