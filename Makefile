# Every target makes its own environment: nothing but Python 3.11 has to be there beforehand.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
export PYTHON

BIN := .venv/bin
LOCK_VENV := build/lock
# Named because the default of torch brings gigabytes of CUDA with it.
LOCK_TORCH ?= 2.13.0

.PHONY: help demo test test-slow bench bench-torch bench-torch-choices bench-tf bench-onnx bench-peers lint lock clean

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 20

demo: ## quantize MobileNetV2 by its shipped recipe, all set-up included
	@.ci/environment demo
	@$(BIN)/edgekit quantize --recipe mobilenet_int8 $(ARGS)

lint: ## style and types
	@.ci/environment demo,tensorflow,onnx,dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

test: lint ## style, types and the default tests, all set-up included
	@.ci/kotlin
	$(BIN)/python -m pytest $(ARGS)

test-slow: ## the tests that take minutes
	@.ci/environment demo,tensorflow,onnx,dev
	@.ci/browser
	@.ci/kotlin
	@code=0; $(BIN)/python -m pytest -m slow $(ARGS) || code=$$?; \
	if [ $$code = 5 ]; then echo "no test is marked slow: nothing was tested"; exit 0; fi; \
	exit $$code

bench: ## the main job's figures beside direct library calls; takes about half an hour
	@.ci/environment demo
	$(BIN)/python -m benchmarks.main_job $(ARGS)

bench-torch: ## PyTorch's own methods beside torch and torchao called directly; about half an hour
	@.ci/environment demo,text
	$(BIN)/python -m benchmarks.torch_methods $(ARGS)

bench-torch-choices: ## the tables in docs/ that the choices of PyTorch's methods rest on
	@.ci/environment demo,text
	$(BIN)/python -m benchmarks.torch_choices $(ARGS)

bench-tf: ## TensorFlow's recipes beside TFLiteConverter called directly; about ten minutes
	@.ci/environment demo,tensorflow,audio
	$(BIN)/python -m benchmarks.tf_methods $(ARGS)

bench-onnx: ## the ONNX bridges and ONNX Runtime INT8 beside direct calls; about 25 minutes
	@.ci/environment demo,tensorflow,onnx,audio
	$(BIN)/edgekit bridge setup --all
	$(BIN)/python -m benchmarks.onnx_bridges $(ARGS)

bench-peers: ## edgekit beside the other quantizers, same model and crops; about half an hour
	@.ci/environment demo,onnx
	$(BIN)/python -m benchmarks.peers $(ARGS)

lock: ## make constraints.txt anew from the ranges in setup.cfg
	rm -rf $(LOCK_VENV)
	$${PYTHON:-python3.11} -m venv $(LOCK_VENV)
	$(LOCK_VENV)/bin/python -m pip install -q '.[all]' 'torch==$(LOCK_TORCH)' 'setuptools>=77'
	sed -n '/^#/p' constraints.txt > $(LOCK_VENV)/constraints.txt
	@# tensorflow-cpu is the same release by another name; an environment holds one of the two.
	$(LOCK_VENV)/bin/python -m pip freeze --all --exclude pip --exclude edgekit \
		| sed 's/+cpu$$//; s/_/-/g; s/^tensorflow==\(.*\)/&\ntensorflow-cpu==\1/' \
		| LC_ALL=C sort -fu >> $(LOCK_VENV)/constraints.txt
	mv $(LOCK_VENV)/constraints.txt constraints.txt

clean: ## remove environments and caches; runs/ stays
	rm -rf .venv build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
