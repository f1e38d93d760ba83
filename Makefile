# Every target does its own set-up: a virtual environment in .venv, and the package in it.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready

# Hundreds of servers and wrong versions are started: none of them compiles the code anew.
unexport PYTHONDONTWRITEBYTECODE

# As many tests beside each other as there are processors; who is done takes over from others.
BESIDE := -n auto --dist worksteal

.DEFAULT_GOAL := help
.PHONY: help setup demo cluster lint check reference test simulate mutants chaos etcd format failover bench soak join clean

help:  ## what there is
	@grep -hE '^[a-z]+: .*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /  make \1\t/' | expand -t 18

$(READY): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "kvstore needs Python 3.11 or newer; name one with: make PYTHON=python3.12 ..." >&2; exit 1; }
	@echo "setting up $(VENV) (once)"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

setup: $(READY)  ## the virtual environment in .venv

demo: $(READY)  ## three real nodes, a stale leader, and how it is fenced
	@$(BIN)/kvstore demo

cluster: $(READY)  ## three nodes on ports 9001-9003 in the foreground; Ctrl-C stops them
	@trap 'kill $$nodes 2>/dev/null' INT TERM HUP; nodes=; \
	  for id in 1 2 3; do $(BIN)/kvstore serve --id $$id & nodes="$$nodes $$!"; done; \
	  until wait; do :; done

lint: $(READY)  ## format, lint, strict types
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy

check: lint  ## lint, and the fast tests
	@$(BIN)/pytest -q $(BESIDE) -m 'not (process or model or mutant or chaos)'

test: $(READY)  ## the tests, the formal model included; those that hold servers to a time, one by one
	@$(BIN)/pytest -q $(BESIDE) -m 'not (process or mutant or chaos)'
	@$(BIN)/pytest -q $(BESIDE) -m 'process and not (timed or chaos)'
	@$(BIN)/pytest -q -m timed tests/process

SEEDS ?= 1000
FIRST ?= 0

simulate: $(READY)  ## SEEDS=1000 clusters in simulated worlds full of faults, from seed FIRST=0 on
	@$(BIN)/kvstore simulate --seeds $(SEEDS) --first $(FIRST) --jobs 2

mutants: $(READY)  ## wrong versions of the code, each of which must be noticed; prints who did
	@$(BIN)/pytest -q $(BESIDE) -m mutant tests/mutants

KILLS ?= 30

SECONDS ?= 120
SEED    ?=

chaos: $(READY)  ## real nodes lose network, disk and power for SECONDS=120; SEED=n draws the same faults
	@PYTHONPATH=tests $(BIN)/python -m chaos --seconds $(SECONDS) $(if $(SEED),--seed $(SEED))

SEQUENCES ?= 1000

etcd: $(READY)  ## SEQUENCES=1000 of random requests, from seed FIRST=0 on, played to a real etcd too
	@PYTHONPATH=tests $(BIN)/python -m like_etcd --sequences $(SEQUENCES) --first $(FIRST)

format: $(READY)  ## rewrite the code in the one format
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

reference: $(READY)  ## what the documents list of the code, written anew from it
	@$(BIN)/python tools/reference.py

failover: $(READY)  ## how long writes wait when the leader is killed, KILLS=30 times under load
	@$(BIN)/python tools/failover.py --kills $(KILLS)

AGAINST ?=

bench: $(READY)  ## writes per second of three local nodes, by redis-benchmark; AGAINST=checkout compares
	@$(BIN)/python tools/bench.py $(if $(AGAINST),--against $(AGAINST))

PUTS ?= 20000000

soak: $(READY)  ## whether nodes stay small and fast under PUTS=20000000 puts; fails by its limits
	@$(BIN)/python tools/soak.py --puts $(PUTS)

KEYS ?= 1000000

join: $(READY)  ## what a node costs that joins KEYS=1000000 keys under load; fails by its limits
	@$(BIN)/python tools/join.py --keys $(KEYS)

clean:  ## remove the environment and the local cluster's data
	rm -rf $(VENV) data/n1 data/n2 data/n3 .pytest_cache .mypy_cache .ruff_cache
