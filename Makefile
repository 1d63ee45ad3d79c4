# Every command that a person types here.

.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# What is never imported need not be compiled, which is half of the time of an installation.
PIP := -m pip install --quiet --disable-pip-version-check --no-compile
# Python files are read in place, so only these make the extension stale.
SOURCES := Cargo.toml pyproject.toml $(wildcard Cargo.lock) $(shell find src -name '*.rs')

.PHONY: help demo test test-torch lint lint-rust lint-python bench docs docs-rust docs-site build wheel all torch clean

help: ## list these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: build ## train on real data, LSH against full: a table, and a picture in out/demo.png
	$(BIN)/python examples/demo.py

test: build $(VENV)/dev.stamp ## run all tests, Rust and Python
	cargo test --profile optimized
	$(BIN)/python -m pytest tests/python

test-torch: build .venv-torch/test-torch.stamp ## run types and tests that need PyTorch, in .venv-torch
	.venv-torch/bin/python -m mypy --follow-imports silent python/slide_rs/torch
	PYTHONPATH=$(CURDIR)/python .venv-torch/bin/python -m pytest tests/torch tests/python/test_bench_peers.py

lint: lint-rust lint-python ## run every check that is not a test

lint-rust: ## ... formatting and clippy, without and with Python; file sizes and unsafe code
	cargo fmt --check
	cargo clippy --all-targets -- -D warnings
	cargo clippy --all-targets --features python -- -D warnings
	$(PYTHON) scripts/check_tree.py

lint-python: build $(VENV)/dev.stamp ## ... stubs against the binary, ruff and mypy
	$(BIN)/python -m mypy.stubtest slide_rs._core --mypy-config-file pyproject.toml
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

bench: ## time the engine; on an idle machine
	cargo bench --benches

docs: docs-rust docs-site ## build all documentation, warnings refused; every tutorial is run

docs-rust: ## ... of the crate, in target/doc
	RUSTDOCFLAGS="-D warnings" cargo doc --no-deps

docs-site: build $(VENV)/docs.stamp ## ... the site, in out/docs
	$(BIN)/python -m sphinx -q -W --keep-going -b html -d out/doctrees docs out/docs

build: $(VENV)/build.stamp ## build the extension and install it in .venv

wheel: $(VENV)/demo.stamp ## build a wheel in dist/
	rm -rf dist
	$(BIN)/maturin build --release --out dist

all: ## everything that must pass before a change lands
	.ci/run

torch: .venv-torch/torch.stamp ## a second environment, .venv-torch, with PyTorch to compare with

clean: ## remove everything that was made here
	cargo clean
	rm -rf $(VENV) .venv-torch dist out

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/%.stamp: requirements/%.txt | $(BIN)/python
	$(BIN)/python $(PIP) -r $<
	touch $@

$(VENV)/dev.stamp $(VENV)/docs.stamp: requirements/demo.txt requirements/test.txt

# maturin would rather use an environment that happens to be active than ours.
$(VENV)/build.stamp: $(SOURCES) $(VENV)/demo.stamp
	env -u CONDA_PREFIX VIRTUAL_ENV=$(CURDIR)/$(VENV) $(BIN)/maturin develop --release
	touch $@

# From PyPI PyTorch comes with libraries for GPUs, several GB, so nothing else here waits for it.
# PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu finds smaller ones.
.venv-torch/bin/python:
	$(PYTHON) -m venv .venv-torch

.venv-torch/%.stamp: requirements/%.txt | .venv-torch/bin/python
	.venv-torch/bin/python $(PIP) -r $<
	touch $@

.venv-torch/test-torch.stamp: requirements/torch.txt
