# The commands of the project; each sets up what it needs in .venv.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
WORKERS ?= auto

.PHONY: demo hub test check bench clean

$(VENV)/.ready: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[test]'
	touch $@

demo: $(VENV)/.ready  ## A recipe on a real elevation model, from the package to a picture.
	$(BIN)/python docs/demo.py

hub: $(VENV)/.ready  ## The hub on this machine, with a job done; ONCE=1 ends it again. PORT says where.
	PYTHONPATH=docs $(BIN)/python deploy/sample.py $(if $(ONCE),--once)

test: check  ## Everything that can be tested on this machine.
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal

check: $(VENV)/.ready  ## Style and types.
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

bench: $(VENV)/.ready  ## Against the peers; takes some minutes and makes a .venv for each peer.
	$(BIN)/python benchmarks/all.py

clean:
	rm -rf $(VENV) out build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis *.egg-info
