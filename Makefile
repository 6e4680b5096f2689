# One command each; a machine needs Python 3.11 or newer and this file's `make`, nothing else.
# Another Python: make serve PYTHON=/path/to/python3.12

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
NAME ?= senko
PORT_qwen := 3161
PORT ?= $(or $(PORT_$(NAME)),3160)
PYTEST := $(BIN)/pytest
# Beside the default models: without them the conformance suite would skip their rows.
TESTED_TOO := moonshine/tiny moonshine/base vosk-model-small-en-us-0.15

.PHONY: help serve runner check test bench bento clean

help:
	@echo "make serve   make $(VENV), pull the default weights, serve on http://127.0.0.1:8100"
	@echo "make runner  serve a backend that lives apart, in its own .venv-NAME: make runner NAME=senko, or NAME=qwen"
	@echo "make check   ruff and mypy"
	@echo "make test    every test that needs no GPU; pulls the default weights first"
	@echo "make bench   what the server adds to the engines"
	@echo "make bento   build the Bento, for images and deployments"
	@echo "make clean   remove $(VENV) and everything built; weights stay in ~/.cache/open-speech"

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Open Speech needs Python 3.11 or newer. Name one: make PYTHON=/path/to/python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null \
		|| { echo "This Python cannot make environments with pip in them. On Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

# The stamps say for which pyproject.toml the environment was made.
$(VENV)/.serve: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[embedded]'
	@touch $@

$(VENV)/.dev: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	@touch $@ $(VENV)/.serve

serve: $(VENV)/.serve
	@exec $(BIN)/open-speech serve

.venv-%/.ready: runners/%-requirements.txt pyproject.toml
	$(PYTHON) -m venv .venv-$*
	.venv-$*/bin/python -m pip install --quiet --disable-pip-version-check -r $<
	@touch $@

runner: .venv-$(NAME)/.ready
	@BENTOML_DO_NOT_TRACK=True exec .venv-$(NAME)/bin/bentoml serve runners.$(NAME):Runner --host 127.0.0.1 --port $(PORT)

check: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/mypy

# The fast tier first: it fails in seconds, without the network.
test: $(VENV)/.dev
	$(PYTEST) -m 'not weights and not served and not gpu'
	$(BIN)/open-speech models pull
	$(BIN)/open-speech models pull $(TESTED_TOO)
	$(PYTEST) -m '(weights or served) and not gpu'

bench: $(VENV)/.dev
	$(BIN)/open-speech models pull
	$(BIN)/python -m benchmarks

bento: $(VENV)/.serve
	BENTOML_DO_NOT_TRACK=True $(BIN)/bentoml build

clean:
	rm -rf $(VENV) .venv-* build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
