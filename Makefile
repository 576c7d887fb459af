# What newcomers and CI call. Every target installs what it needs, or says plainly what it cannot install.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
VENV := .venv
BIN := $(VENV)/bin
JOBS ?= 2
PATIENT_JOBS ?= 6
# Tests start many processes, each of which would compile the same modules again.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help venv demo test check lint format bench fidelities fuzz fuzzer fit docs requirements tools clean

help:  ## this list
	@grep -E '^[a-z-]+:.*##' Makefile | sed -E 's/:.*## /: /' | column -t -s : -l 2

venv: $(VENV)/.ready  ## netprobe in .venv/bin, with pinned packages

demo: $(VENV)/.ready  ## two outages with real packets in simulated networks; needs no root where user namespaces are allowed
	@scripts/demo.sh $(BIN)/netprobe

test: lint tools fuzzer  ## everything: lint, and all tests with real packets (as root)
	status=0; \
	$(BIN)/python -m pytest -n $(JOBS) -q -m "not patient" || status=1; \
	$(BIN)/python -m pytest -n $(PATIENT_JOBS) -q -m patient || status=1; \
	exit $$status

check: $(VENV)/.ready  ## what takes under a minute and sends no packet
	$(BIN)/python -m pytest -n $(JOBS) -q -m "not packets and not slow"

lint: $(VENV)/.ready  ## style, types, and which way imports point
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

format: $(VENV)/.ready  ## lay the code out
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

bench: $(VENV)/.ready tools  ## measurements beside the tools that people use today
	$(BIN)/python -m tests.benchmarks $(ROWS)

fidelities: $(VENV)/.ready tools  ## every scenario with real packets, in both fidelities, beside virtual time: what differs (a quarter of an hour; NAMES=...)
	JOBS=$(PATIENT_JOBS) $(BIN)/python -m tests.sim.fidelities $(NAMES)

lab-vm: $(VENV)/.ready tools  ## kernel scenarios with delays and losses by netem, in an emulated machine (as root); SCENARIOS="NAME ..." or all
	@scripts/lab-vm.sh $(BIN)/python $(SCENARIOS)

fuzz: $(VENV)/.fuzz  ## a million coverage-guided inputs for each parser of strangers' bytes; findings are left in build/fuzz
	$(BIN)/python -m tests.fuzz --keep build/fuzz

fit: $(VENV)/.ready  ## write netprobe/data/calibration.toml anew from a sweep of generated worlds (half an hour), and say what changed in build/fit
	@mkdir -p build/fit
	$(BIN)/python -m netprobe.lab.fit --keep build/fit/samples.jsonl --report build/fit/report.md --svg build/fit/reliability.svg

docs: $(VENV)/.ready  ## write docs/causes.md, docs/signals.md and docs/man anew
	$(BIN)/python -m netprobe.diagnosis.table > docs/causes.md
	$(BIN)/python -m netprobe.diagnosis.signs > docs/signals.md
	$(BIN)/python scripts/man_pages.py

requirements: $(VENV)/.ready  ## pin the closure of pyproject.toml anew
	scripts/requirements.sh $(BIN)/python

tools:
	@scripts/tools.sh

# There is no fuzzer for every machine and Python: without it the rest is tested all the same.
fuzzer: $(VENV)/.ready
	@$(MAKE) --no-print-directory $(VENV)/.fuzz 2>/dev/null || echo "make: atheris cannot be installed here: coverage-guided tests are skipped" >&2

clean:  ## remove what make made
	rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/.pinned: requirements.txt
	@scripts/venv.sh $(VENV)
	@touch $@

$(VENV)/.ready: $(VENV)/.pinned pyproject.toml
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --no-input --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.fuzz: tests/fuzz/requirements.txt $(VENV)/.ready
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --no-input --only-binary :all: --require-hashes -r $<
	@touch $@
