# make demo   see the whole loop work on this machine, offline
# make test   run the tests
# make lint   formatting, style, types, import directions, generated docs
# make bench  measure speed, memory and bytes against references
# make docs   regenerate what is generated in docs/

PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/installed
DEVELOPER := .venv/developer

.PHONY: demo test lint bench docs clean

demo: $(INSTALLED)
	$(BIN)/mimecurate demo

test: $(DEVELOPER)
	$(BIN)/python -m pytest $(PYTEST)

lint: $(DEVELOPER)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/cog --check -r docs/reference/*.md

bench: $(DEVELOPER)
	for script in benchmarks/*.py; do $(BIN)/python $$script || exit 1; done

docs: $(DEVELOPER)
	$(BIN)/cog -r docs/reference/*.md

clean:
	rm -rf .venv build demo-workspace

$(INSTALLED): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or later is needed; name it: make PYTHON=python3.12"; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@echo "installing into .venv; about 1.5 GB, a few minutes"
	$(BIN)/python -m pip install --quiet --upgrade pip
	PYTHONWARNINGS=ignore $(BIN)/python -m pip install --quiet --editable '.[server]'
	touch $@

$(DEVELOPER): $(INSTALLED)
	PYTHONWARNINGS=ignore $(BIN)/python -m pip install --quiet --editable '.[baselines,cluster,server]' --group dev
	touch $@
