# Every target sets itself up in .venv. `make help` lists them.
PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python

.DEFAULT_GOAL := help
.PHONY: help demo test check format bench bundle packages clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*##/ {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(VENV)/demo ## watch a machine being learnt and found faulty (2 minutes)
	$(RUN) -m asd_train.demo

test: $(VENV)/dev packages ## run every test
	$(RUN) -m pytest

check: $(VENV)/dev ## format, lint and types
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy

format: $(VENV)/dev ## rewrite the code as ruff wants it
	$(VENV)/bin/ruff format .
	$(VENV)/bin/ruff check --fix .

bench: $(VENV)/dev packages ## measure speed, memory and start on this machine
	PYTHONPATH=tests $(RUN) -m bench

bundle: $(VENV)/dev ## make the packaged bundle anew (about half an hour)
	test -d runs/simulated || $(VENV)/bin/asd-train simulate runs/simulated --layout 2021 \
	  --clips-train 40 --clips-test 40 --seed 1
	OMP_NUM_THREADS=1 $(VENV)/bin/asd-train fit default --data runs/simulated -o runs/default
	$(VENV)/bin/asd-export build runs/default -o runs/default_bundle --id default-4 --version 4 \
	  --files onnx-int8,tflite-int8
	rm -rf agent/asd_agent/default_bundle
	mv runs/default_bundle agent/asd_agent/default_bundle

packages: ## see that the Debian packages of the tests are there
	sh tests/support/packages.sh

clean: ## remove what the targets made
	rm -rf $(VENV) .venv-runtimes build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis

# What the tests need holds what the demo needs.
$(VENV)/demo: pyproject.toml constraints.txt
	test -e $(VENV)/dev || { \
	  test -x $(RUN) || $(PYTHON) -m venv $(VENV); \
	  $(RUN) -m pip install --quiet --constraint constraints.txt --editable '.[demo]'; }
	touch $@

$(VENV)/dev: pyproject.toml constraints.txt
	test -x $(RUN) || $(PYTHON) -m venv $(VENV)
	$(RUN) -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@ $(VENV)/demo
