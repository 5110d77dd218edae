# Every chore of the project. `make run` and `make test` need only make and Python 3.11 or 3.12.
.DEFAULT_GOAL := help
SHELL := /bin/sh
VENV := .venv
BIN := $(VENV)/bin
DATA ?=
# Two processes of tests: one waits for Airflow most of its time.
SIDE_BY_SIDE := -n 2 --no-loadscope-reorder --durations=20
export PYTHONUNBUFFERED := 1

.PHONY: help setup run test test-long lint e2e bench claims damage docs up down status lock clean

help: ## list the chores
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

setup: ## make .venv with every pinned dependency (does nothing the second time)
	@PYTHON="$(PYTHON)" sh deploy/setup.sh

run: setup ## start the stack, simulate three tenants, run the whole chain; DATA=<folder> takes your exports
	@$(BIN)/analytics run $(if $(DATA),--data "$(DATA)")

test: setup ## lint, then the tests (seeded samples of the long suites)
	@$(MAKE) --no-print-directory lint
	@$(BIN)/python -m pytest $(SIDE_BY_SIDE) -m "not long"

test-long: setup ## everything: all seeds, all engines, all kills
	@$(BIN)/python -m pytest $(SIDE_BY_SIDE)

lint: setup ## ruff, mypy, sqlfluff, yamllint, kingfisher (secrets): no warnings
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy analytics expectations spark_jobs ml dags bench
	@$(BIN)/sqlfluff lint --disable-progress-bar -q dbt_project/models
	@$(BIN)/yamllint -s .
	@$(BIN)/kingfisher scan . --git-history none --no-validate --no-update-check --redact --quiet \
		--exclude .git --exclude .venv --exclude .env --exclude '.*_cache' --exclude .hypothesis \
		--exclude var --exclude target

e2e: setup ## the whole chain in a browser: screenshots of every page (wants an installed Chromium)
	@$(BIN)/python -m pytest tests/e2e --browser-pictures

bench: setup ## speed of each part, as ratios against the bare engine
	@$(BIN)/python -m bench

claims: setup ## measure every figure of the README again and write docs/claims.json
	@$(BIN)/python -m bench.claims

damage: setup ## do every kind of damage to a day and write docs/damage.md
	@$(BIN)/python -m tests.damage

docs: setup ## build the dbt docs site from the warehouse as it is
	@$(BIN)/analytics docs

up: setup ## start the local stack
	@$(BIN)/analytics up

down: ## stop the local stack
	@test ! -x $(BIN)/analytics || $(BIN)/analytics down

status: setup ## services, their state, memory and addresses
	@$(BIN)/analytics status

lock: setup ## resolve pyproject.toml into requirements.lock again
	@sh deploy/lock.sh

clean: down ## stop the stack and delete its data and the environment
	@sh deploy/clean.sh
