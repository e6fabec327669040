# Two commands matter: `cargo run --release -- dev` starts Alluvium, `make test` tests all of it.
.DEFAULT_GOAL := help
.PHONY: help test lint unit crash sim terraform clients cluster functions dist bench docs fmt

help: ## shows this list
	@grep -E '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /  make \1|/' | column -t -s '|'

test: ## the whole test suite; installs and starts what it needs
	@tests/run

lint: ## formatting, rooms, clippy, generated pages
	@tests/run lint

unit: ## cargo test, with MinIO and moto
	@tests/run cargo

crash: ## kills the server at random under load and compares
	@tests/run crash

terraform: ## the modules, with mocked providers and planted mistakes
	@tests/run terraform

clients: ## other people's Kafka clients
	@tests/run clients

cluster: ## three processes under other people's clients, 20 kills
	@tests/run cluster

sim: ## simulates clusters under faults for MINUTES (10)
	cargo run --profile sim --package alluvium-sim -- --minutes $(or $(MINUTES),10) --jobs 2

functions: ## zips for AWS Lambda in target/functions (ARCHITECTURE=arm64 where its toolchain is)
	functions/package $(or $(ARCHITECTURE),x86_64)

dist: ## the binary that is released, with SQL; takes a while
	cargo build --locked --profile dist --package alluvium --features query

bench: ## Alluvium and Apache Kafka side by side; writes bench/results
	bench/run

docs: ## writes the generated reference pages
	cargo xtask docs

fmt: ## formats the code
	cargo fmt --all
