# Everything runs in .venv, which `make` builds from the pinned requirements.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
CORE := $(VENV)/.core-installed
DEV := $(VENV)/.dev-installed

.PHONY: run serve train test test-slow lint format types bench thumbnails web web-fixtures clean

run: $(CORE)  ## text to image on the embedded model; says where the picture is
	$(BIN)/python main.py run workflows/text_to_image.json

serve: $(CORE)  ## the server, on http://127.0.0.1:8188
	$(BIN)/python main.py serve

train: $(CORE)  ## the embedded model, from its data; BUDGET=60 (minutes) goes on next time, GPU=1: 128 px
	GOMP_SPINCOUNT=0 $(BIN)/python workflows/train_embedded.py $(if $(GPU),--gpu) $(if $(BUDGET),--budget $(BUDGET))

test: $(DEV)  ## all tests, those of a file by one process
	$(BIN)/python -m pytest --numprocesses logical --maxprocesses 4 --dist loadfile

test-slow: $(DEV)  ## full-size checks: several GiB of memory, tens of minutes
	$(BIN)/python -m pytest -m slow -s

lint: $(DEV)  ## style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(DEV)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(DEV)  ## the table of docs/performance.md, measured here
	$(BIN)/python -m benchmarks

thumbnails: $(DEV)  ## the pictures of the example workflows, after changes of these or of the model
	$(BIN)/python -m benchmarks.thumbnails

web:  ## the page: its dependencies (Node 20 or newer), style, types, tests, and web/dist built anew
	cd web && npm ci && npm run check

web-fixtures: $(DEV)  ## what the page's tests compare with, after changes of nodes or workflows
	PYTHONPATH=.:tests $(BIN)/python -m web_fixtures
	cd web && npm ci && npm run fixtures

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "nodegraph needs Python 3.11 or newer; set PYTHON=")'
	$(PYTHON) -m venv $(VENV)

$(CORE): requirements.lock | $(VENV)/bin/python
	$(BIN)/python -m pip install --disable-pip-version-check -q -r requirements.lock
	touch $@

$(DEV): requirements-dev.lock $(CORE)
	$(BIN)/python -m pip install --disable-pip-version-check -q -r requirements-dev.lock
	$(BIN)/python -m pip install --disable-pip-version-check -q --no-deps -r requirements-alone.lock
	touch $@

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis
