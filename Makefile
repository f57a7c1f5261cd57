# Each target does all set-up by itself; a second run is quick.
PYTHON ?= python3
BIN := .venv/bin
HARNESS := .venv/harness
DEMO := runs/demo

.PHONY: demo test harness check format docs bench clean

# Trains a unified model (but its codec, which is there), shows what it draws, scores it: nine minutes on two cores that know bfloat16, else twenty.
demo: .venv/installed
	$(BIN)/tessera train chameleon --run $(DEMO) $$(test -f $(DEMO)/run.json && echo --resume)
	$(BIN)/tessera evaluate --run $(DEMO) --out $(DEMO)/results --suite drawing --suite questions --suite captions --share 0.2
	@echo "Its drawings: $(DEMO)/results/sheets/chameleon/drawing.png; ask it: $(BIN)/tessera draw --run $(DEMO) 'a red circle'"

test: .venv/installed
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses=auto --dist=loadfile

# The plug-in for lmms-eval against lmms-eval itself, which brings some 140 packages: in an environment of its own.
harness: $(HARNESS)/installed
	OMP_NUM_THREADS=1 $(HARNESS)/bin/python -m pytest tests/test_lmms_eval.py

check: .venv/checking
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: .venv/checking
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

docs: .venv/docs
	$(BIN)/mkdocs build --strict

bench: .venv/bench
	$(BIN)/python bench/world.py
	$(BIN)/python bench/train_step.py
	$(BIN)/python bench/draw.py
	$(BIN)/python bench/passes.py
	$(BIN)/python bench/long.py
	$(BIN)/python bench/memory.py

.venv/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "tessera: Python >= 3.11 is needed; call make PYTHON=python3.11"; exit 1; }
	$(PYTHON) -m venv .venv
	touch $@

.venv/installed: .venv/python pyproject.toml constraints.txt
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[test]'
	touch $@

.venv/checking: .venv/installed
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[test,check]'
	touch $@

.venv/docs: .venv/installed
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[test,docs]'
	touch $@

.venv/bench: .venv/installed
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[test,bench]'
	touch $@

# PyPI's torchvision fails to be imported beside a CPU build of torch; nothing here needs it.
$(HARNESS)/installed: .venv/python pyproject.toml constraints.txt
	$(BIN)/python -m venv $(HARNESS)
	$(HARNESS)/bin/pip install --quiet --constraint constraints.txt --editable '.[test,lmms-eval]'
	$(HARNESS)/bin/pip uninstall --quiet --yes torchvision
	touch $@

clean:
	rm -rf .venv runs site build dist
