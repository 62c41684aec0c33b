# Two commands do everything on a fresh machine with Python 3.11+, pip and make:
#   make study   install, and run the default study      make test   install, and run lint, types and tests
PYTHON ?= python3
VENV   ?= .venv
BIN     = $(VENV)/bin
SOURCES = src tests scripts benchmarks science
# An allocator that saves time and changes no bit, where it is installed; `make study TCMALLOC=` goes without it.
TCMALLOC ?= $(firstword $(wildcard /usr/lib/$(shell uname -m)-linux-gnu/libtcmalloc_minimal.so.4 /usr/lib64/libtcmalloc_minimal.so.4))

.PHONY: study study-translation quick test test-slow test-faults bench gpu-check docs docs-serve package-check check format browser clean
.DEFAULT_GOAL := help
help:
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

study: $(VENV)/.installed  ## install, then run the default study (6 to 12 minutes on two CPU cores)
	$(if $(TCMALLOC),LD_PRELOAD=$(TCMALLOC)) $(BIN)/tosmooth study

study-translation: $(VENV)/.installed-translation  ## install, then run the translation study (under 20 minutes on two cores)
	$(BIN)/tosmooth study translation-en-de

quick: $(VENV)/.installed  ## install, then run the one-minute preview of the default study
	$(BIN)/tosmooth study --quick

test: $(VENV)/.installed-dev browser check  ## install, then run lint, types and all tests but the slow ones
	PYTHONDONTWRITEBYTECODE= OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --maxprocesses 4 -m "not slow and not faults"

test-slow: $(VENV)/.installed-dev browser  ## the tests that take minutes
	$(BIN)/python -m pytest -m slow

test-faults: $(VENV)/.installed-dev  ## every injected fault: kills at 50 random moments, full disks, dead nodes …
	$(BIN)/python -m pytest tests/faults

bench: $(VENV)/.installed-bench  ## all benchmarks (under 15 minutes on two cores); docs/benchmarks.md has the last ones
	for name in grid limit fused centroids decoding scaling cost_model; do $(BIN)/python -m benchmarks.$$name || exit 1; done
	$(BIN)/python -m benchmarks.grid --heavy 1 --repeats 2

gpu-check: $(VENV)/.installed-bench  ## on one CUDA card: correctness and speed, in eight minutes at most (on a CPU: what it can show)
	$(BIN)/python -m benchmarks.gpu_check

docs: $(VENV)/.installed-dev  ## the documentation site into site/: every warning an error, every link checked
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict
	$(BIN)/python -m scripts.docs_site.check site

docs-serve: $(VENV)/.installed-dev  ## the same at http://127.0.0.1:8000, built again as you write
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs serve

package-check: $(VENV)/.installed-dev  ## build wheel and sdist, and use them in an empty environment (three minutes)
	$(BIN)/python -m scripts.check_package

check: $(VENV)/.installed-dev  ## lint, format and type checks
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/mypy

format: $(VENV)/.installed-dev  ## put the code into the project's format
	$(BIN)/ruff check --fix $(SOURCES)
	$(BIN)/ruff format $(SOURCES)

browser:  ## Chromium, for the tests that open the report
	@scripts/install_browser.sh

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(VENV)/.installed-translation: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable ".[translation]"
	@touch $@ $(VENV)/.installed

$(VENV)/.installed-dev: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable ".[dev]"
	@touch $@ $(VENV)/.installed $(VENV)/.installed-translation

$(VENV)/.installed-bench: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable ".[bench]"
	@touch $@ $(VENV)/.installed

clean:  ## remove the virtual environment and caches (studies under runs/ stay)
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache
