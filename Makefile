# The commands of the project; each sets up what it needs in .venv.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/pip install --quiet --disable-pip-version-check
WORKERS ?= auto

.PHONY: demo hub test check bench clean

$(VENV)/.hub: pyproject.toml
	@echo "installing tilepipe with its hub into $(VENV); the first time this takes about a minute"
	@$(PYTHON) -m venv $(VENV)
	@$(PIP) --editable '.[hub]' matplotlib
	@touch $@

$(VENV)/.ready: $(VENV)/.hub
	@echo "installing all that the tests need into $(VENV); the first time this takes some minutes"
	@$(PIP) --editable '.[test]'
	@touch $@

demo: $(VENV)/.hub  ## A recipe on a real elevation model, from the package to a picture.
	$(BIN)/python docs/demo.py

hub: $(VENV)/.hub  ## The hub on this machine, with a job done; ONCE=1 ends it again. PORT says where.
	@exec env PYTHONPATH=docs$${PYTHONPATH:+:$$PYTHONPATH} $(BIN)/python deploy/sample.py $(if $(ONCE),--once)

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
