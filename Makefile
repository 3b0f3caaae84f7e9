# Everything that is done here by hand. `make` alone lists it.
PYTHON ?=
BIN := .venv/bin
# Where it is set, each process would compile every module anew.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help demo test lint lock catalog bench load chaos screenshots messages docs clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' Makefile

demo: .venv/.complete ## copy a whole liquidation on real servers (STAY=1: and leave them up to play with)
	@$(BIN)/python -m dev.demo $(if $(filter-out 0,$(STAY)),--stay)

test: .venv/.complete ## the whole suite, in parallel (ARGS="-k proxy -x" goes to pytest; -n0 for one at a time)
	@$(BIN)/python -m pytest -n auto $(ARGS)

lint: .venv/.complete ## ruff, mypy and the directions of the imports
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

lock: .venv/.complete ## requirements.lock and requirements-prod.lock anew, from pyproject.toml
	@$(BIN)/uv pip compile --quiet --universal --generate-hashes --python-version 3.11 --no-header --no-annotate \
		pyproject.toml --group pyproject.toml:dev -o requirements.lock
	@$(BIN)/uv pip compile --quiet --universal --generate-hashes --python-version 3.11 --no-header --no-annotate \
		pyproject.toml -c requirements.lock -o requirements-prod.lock

catalog: .venv/.complete ## the Spanish catalog anew, from the sentences in the code
	@$(BIN)/pybabel -q extract --no-location --width 100 --sort-output -k t -k _t -k plural:1,2 -k N_ -o bot/locales/traspaso.pot bot
	@$(BIN)/pybabel -q update --no-fuzzy-matching --ignore-pot-creation-date --width 100 -D traspaso -i bot/locales/traspaso.pot -d bot/locales
	@rm bot/locales/traspaso.pot

bench: .venv/.complete ## the engine beside the pipe, for docs/benchmarks.md (QUICK=1: with a fifth of the rows; DELAYS="0 50": ms there and back, only; SETS=1: a set, only; WATCH=1: the watch, only)
	@$(BIN)/python -m dev.bench $(if $(filter-out 0,$(QUICK)),--quick) $(if $(DELAYS),--delays "$(DELAYS)") $(if $(filter-out 0,$(SETS)),--sets) $(if $(filter-out 0,$(WATCH)),--watch)

load: .venv/.complete ## what load and deploys do to it (PARTS="load flood deploys releases" BEFORE=COMMIT, QUICK=1, ARGS=--help)
	@$(BIN)/python -m dev.load $(PARTS) $(if $(BEFORE),--before $(BEFORE)) $(if $(filter-out 0,$(QUICK)),--quick) $(ARGS)

chaos: .venv/.complete ## faults drawn from a seed, judged by an oracle (RUNS=10 SEED=1: one run is replayed by its seed)
	@$(BIN)/python -m dev.chaos --runs $(or $(RUNS),10) --seed $(or $(SEED),1) $(if $(HOUSE),--house "$(HOUSE)")

screenshots: .venv/.complete ## docs/screenshots and docs/images anew, from the local Slack's page
	@$(BIN)/python -m dev.screenshots docs/screenshots
	@$(BIN)/python -m dev.messages.pictures

messages: .venv/.complete ## tests/golden, docs/messages.md and the table of docs/troubleshooting.md anew
	@$(BIN)/python -m dev.messages

docs: .venv/.complete ## the commands in docs/cli.md anew, from the help of traspaso
	@$(BIN)/python -m dev.cli_page

clean: ## remove the virtual environment and all caches
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/.complete: requirements.lock pyproject.toml dev/setup.sh
	@PYTHON="$(PYTHON)" sh dev/setup.sh
