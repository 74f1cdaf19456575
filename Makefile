# Everything that a newcomer, a maintainer and CI run. `make` alone lists it.
#
#   PYTHON=python3.13 make test      another interpreter (after `make clean`)
#   make test DJANGO=6.0 VENV=.v     another Django, in an environment of its own
#   make test ARGS="-k ledger -x"    more options for pytest

PYTHON ?= python3
DJANGO :=
ARGS   ?=
VENV   := .venv

BENCH := .venv-bench
BIN   := $(VENV)/bin
PIP   := -m pip --disable-pip-version-check --quiet --quiet

.DEFAULT_GOAL := help
.NOTPARALLEL:
.DELETE_ON_ERROR:
.PHONY: help venv dev demo test coverage lint format types docs pictures check matrix bench dist clean

help: ## List these targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# -- The two commands of the README --------------------------------------------------------------------------------

demo: $(VENV)/.with-demo ## Show the whole idea on a small shop, with real receivers on loopback
	$(BIN)/python docs/demo/run.py

test: $(VENV) ## Run the suite and the snippets of README.md and docs/
	$(BIN)/python -m pytest -n auto $(ARGS)

# -- Checks --------------------------------------------------------------------------------------------------------

check: lint types docs test ## lint, types, docs and test

lint: $(VENV)/.with-lint ## Rules and formatting (ruff), and the scripts (shellcheck)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/shellcheck .ci/run .ci/matrix

format: $(VENV)/.with-lint ## Apply the formatting and the safe fixes
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

types: $(VENV)/.with-types ## Two strict type checkers
	$(BIN)/mypy
	$(BIN)/basedpyright

docs: $(VENV)/.with-docs ## Build the documentation; any warning is an error
	$(BIN)/python -m sphinx --fail-on-warning --keep-going --nitpicky --quiet -b html docs docs/_build/html
	@echo "docs/_build/html/index.html"

pictures: $(VENV)/.with-pictures ## Make the pictures of README.md and the docs anew, from real output
	$(BIN)/python -m docs.screenshots

# Coverage starts before pytest loads the plugin and, through it, the package. That is why pytest-cov is not used.
coverage: $(VENV) ## Run the suite under coverage, branch by branch, with a floor for _core
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest -n auto -m "not once and not processes" $(ARGS)
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report --include='sideeffects/*' --omit= --fail-under=0 --skip-covered
	$(BIN)/coverage report

matrix: ## Run the suite on every Python here, with every Django that it supports
	.ci/matrix $(ARGS)

bench: $(BENCH)/.installed ## Measure against bare calls, mocks and the peers from PyPI
	$(BENCH)/bin/python tests/bench/run.py $(ARGS)

dist: $(VENV) ## Build what goes to PyPI, and refuse it while a link of README.md leads nowhere
	rm -rf dist
	$(BIN)/python -m build
	$(BIN)/twine check --strict dist/*
	@grep -oE '\]\(https://[^)]+' README.md | cut -c3- | sort -u | while read -r link; do \
		curl --fail --silent --show-error --location --output /dev/null "$$link" \
			|| { echo "README.md links to $$link, which does not answer: see Releasing in docs/contributing.md" >&2; exit 1; }; \
	done

clean: ## Remove the environments and everything generated
	rm -rf .venv .venv-* docs/_build build dist .coverage .coverage.* htmlcov
	rm -rf .pytest_cache .hypothesis .mypy_cache .ruff_cache
	find sideeffects tests docs -name __pycache__ -type d -prune -exec rm -rf {} +

# -- Environments: plain venv and pip. A stamp makes them install again only when pyproject.toml has changed ---------

venv: $(VENV)
dev: $(VENV)/.with-dev ## Install every tool now, and those for the pre-commit hooks

.PHONY: $(VENV)
$(VENV): $(VENV)/.installed

$(VENV)/.made: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "sideeffects needs Python 3.11 or newer: PYTHON=/path/to/python3.11 make ..." >&2; exit 1; }
	@echo "Setting up $(VENV) ..."
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python $(PIP) install --upgrade "pip>=25.1"
	@$(BIN)/python $(PIP) install --editable .
	@touch $@

$(VENV)/.installed: $(VENV)/.made
	@echo "Adding what the suite needs to $(VENV), which takes some minutes the first time ..."
	@$(BIN)/python $(PIP) install --group test $(if $(DJANGO),"Django==$(DJANGO).*")
	@touch $@

$(VENV)/.with-%: $(VENV)/.made
	@echo "Adding what $* needs to $(VENV) ..."
	@$(BIN)/python $(PIP) install --group $*
	@touch $@

$(BENCH)/.installed: pyproject.toml
	@echo "Setting up $(BENCH) ..."
	@$(PYTHON) -m venv $(BENCH)
	@$(BENCH)/bin/python $(PIP) install --upgrade "pip>=25.1"
	@$(BENCH)/bin/python $(PIP) install --editable . --group bench
	@touch $@
