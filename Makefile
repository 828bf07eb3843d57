# The doors of this repository, for people and for CI. `make` alone lists them.
# Each sets up what it needs, says what it does, and can be run again at once.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help setup dashboard try-dashboard build demo cluster cluster-down test test-cluster test-queues simulate lint bench fmt localstack localstack-down

# A shell that never read rustup's profile still finds it.
export PATH := $(PATH):$(HOME)/.cargo/bin
# The scripts look for the programs here, wherever else cargo was told to build.
export CARGO_TARGET_DIR := $(CURDIR)/target
# Given to make, read by what it runs.
export KEEP HOSTS PART ROUNDS STARTS CONNECTIONS RATES WORKERS MAELSTROMD QUEUE_LOOP
say = @printf '\n=== %s\n' '$(1)'
scripts := tests/setup/docker tests/setup/packages tests/setup/apt.sh tests/demo/run .ci/run \
  dashboard/run localstack/run localstack/fetch.sh localstack/processes.sh localstack/tests/run \
  terraform/tests/run maelstromd/package/install maelstromd/package/build \
  maelstromd/package/debian/postinst maelstromd/package/debian/prerm maelstromd/package/debian/postrm

help: ## list what there is
	@printf 'Maelstrom. What make can do:\n\n'
	@sed -nE 's/^([a-z-]+):.*## (.*)/\1@\2/p' Makefile | while IFS=@ read -r name what; do printf '  make %-15s %s\n' "$$name" "$$what"; done

setup: ## what compiling needs and a Docker engine, where missing
	$(call say,Setting up)
	@tests/setup/packages build
	@tests/setup/docker

dashboard: ## the web interface, for the daemon's next build (Node.js 20.19 or newer)
	@tests/setup/packages node
	$(call say,Building the dashboard)
	@dashboard/run build

# Part of what builds the daemon: where Node.js is missing or too old it goes without.
try-dashboard:
	$(call say,Building the dashboard)
	@tests/setup/packages node || true
	@dashboard/run try

build: setup try-dashboard ## both programs (development profile)
	$(call say,Building maelstromd and maelctl)
	@cargo build --locked --package maelstromd --package maelctl

demo: setup try-dashboard ## a project on this machine: cold start, calls, cron (KEEP=1 leaves it running)
	@tests/setup/packages demo
	$(call say,Building; the first time takes some minutes)
	@cargo build --locked --package maelstromd --package maelctl --package maelstrom-tests \
	  --bin maelstromd --bin maelctl --bin app-image
	@tests/demo/run

cluster: setup try-dashboard ## several hosts with engines of their own on this one, to look at and to break (HOSTS=3)
	@tests/setup/packages demo cluster
	$(call say,Building; the first time takes some minutes)
	@cargo build --locked --profile fast --package maelstromd --package maelctl --package maelstrom-tests \
	  --bin maelstromd --bin maelctl --bin cluster
	@localstack/run up dynamodb
	@eval "$$(localstack/run env | grep AWS_ENDPOINT_URL_DYNAMODB=)"; exec target/fast/cluster up

cluster-down: ## removes what make cluster started
	@target/fast/cluster down

# Everything in one build: the programs end up in target/debug, where the suites find them
# beside their own binaries, with dependencies compiled once for all.
test: try-dashboard lint ## everything that must hold: lint, unit, conformance, real containers (FILTER=name)
	@tests/setup/packages test cluster browser
	$(call say,Building the programs and their tests)
	@cargo build --locked --workspace --all-targets
	$(call say,Building the images that tests run)
	@target/debug/app-image
	$(call say,Bringing up the AWS that tests talk to)
	@localstack/run up
	$(call say,Testing)
	@eval "$$(localstack/run env | grep AWS_ENDPOINT_URL)"; if cargo nextest --version >/dev/null 2>&1; then \
	  exec cargo nextest run --locked --workspace --no-fail-fast $(FILTER); \
	else \
	  exec cargo test --locked --workspace --no-fail-fast -- $(FILTER); \
	fi
	$(call say,Testing the dashboard)
	@eval "$$(localstack/run env | grep AWS_ENDPOINT_URL_DYNAMODB=)"; export AWS_ENDPOINT_URL_DYNAMODB; exec dashboard/run test

test-queues: setup try-dashboard ## 20,000 messages while nodes die, and AWS away for a minute; six minutes (MESSAGES=2000 FILTER=name)
	@tests/setup/packages test cluster
	@localstack/run up
	@cargo build --locked --workspace --all-targets
	@target/debug/app-image
	@eval "$$(localstack/run env | grep AWS_ENDPOINT_URL)"; \
	  export MAEL_TEST_MESSAGES='$(or $(MESSAGES),20000)' MAEL_TEST_AWS_AWAY_SECONDS=60; \
	  exec cargo test --locked --package maelstrom-tests --test queues -- --test-threads=1 $(FILTER)

test-cluster: setup try-dashboard ## several hosts under load that are killed, cut off and frozen; a quarter of an hour (FILTER=name)
	@tests/setup/packages test cluster browser
	@localstack/run up dynamodb
	@cargo build --locked --workspace --all-targets
	@target/debug/app-image
	@eval "$$(localstack/run env | grep AWS_ENDPOINT_URL_DYNAMODB=)"; \
	  cargo test --locked --package maelstrom-tests --test cluster -- --test-threads=1 $(FILTER)
	@eval "$$(localstack/run env | grep AWS_ENDPOINT_URL_DYNAMODB=)"; export AWS_ENDPOINT_URL_DYNAMODB; exec dashboard/run cluster

simulate: setup ## the cluster in a simulated world, story by story (SEEDS=1000 NODES=7 FAULTS=Splits; PART=traffic: what nodes say)
	$(call say,Building)
	@MAEL_SIM_SEEDS='$(SEEDS)' MAEL_SIM_NODES='$(NODES)' MAEL_SIM_FAULTS='$(FAULTS)' cargo test --locked --profile fast --package maelstrom-core \
	  --test cluster -- --ignored --nocapture $(if $(filter traffic,$(PART)),what_nodes_say,many)

lint: setup ## formatting, clippy, shell scripts and the Terraform module; warnings are errors
	$(call say,Linting)
	@cargo fmt --all --check
	@cargo clippy --locked --workspace --all-targets -- -D warnings
	@for script in $(scripts); do bash -n "$$script"; done
	@if command -v shellcheck >/dev/null; then shellcheck -x -P SCRIPTDIR $(scripts); fi
	@if command -v python3 >/dev/null; then terraform/tests/run quick; fi

bench: setup ## against nginx and haproxy (PART=warm,latency,memory,cold,standby,cluster,queues ROUNDS=12 SECONDS=2)
	@tests/setup/packages bench cluster
	$(call say,Building what ships; whole-program optimisation takes some minutes)
	@cargo build --locked --release --package maelstromd
	@cargo build --locked --release --package maelstrom-aws --example queue-loop
	@cargo build --locked --profile fast --package maelstromd --package maelctl --package maelstrom-tests \
	  --bin maelstromd --bin maelctl --bin bench
	@localstack/run up
	@eval "$$(localstack/run env | grep AWS_ENDPOINT_URL)"; BENCH_SECONDS='$(SECONDS)' target/fast/bench

fmt: ## format the sources
	@cargo fmt --all

localstack: ## the AWS that tests talk to: DynamoDB and LocalStack, without Docker (MAEL_TEST_LOCALSTACK_PORT=4566)
	@localstack/run up

localstack-down: ## stops it
	@localstack/run down
