# Everything a developer types. `make` alone lists it.

SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

BIN := .venv/bin
IMAGE ?= signalbox
PORT ?= 8000
MINUTES ?= 10
PROCESSES ?= 2

# Stamps: present and newer than what they were made from = nothing to do.
INSTALLED := .venv/.installed
BENCH_INSTALLED := .venv/.installed-bench

##@ Use

.PHONY: install demo run
install: $(INSTALLED) ## Install everything into .venv (with uv where it is there, else with pip)
	@:

demo: install ## Start the hub with a simulated world around it on http://127.0.0.1:8000
	@exec $(BIN)/signalbox demo

run: install ## Start the hub with the settings of this folder (.env, signalbox.toml)
	@exec $(BIN)/signalbox serve

$(INSTALLED): requirements/dev.txt pyproject.toml tools/install.sh
	@tools/install.sh requirements/dev.txt
	@touch $@

$(BENCH_INSTALLED): requirements/bench.txt $(INSTALLED)
	@tools/install.sh requirements/bench.txt
	@touch $@

##@ Work on it

.PHONY: test services check format format-check lint types imports files bench bench-gateway bench-notifications bench-criticality bench-conversations bench-console bench-soak bench-tasks bench-grid openapi screenshots lock
test: install services ## Run all tests, on SQLite and PostgreSQL (ARGS="-k gateway" to choose, PROCESSES=2)
	@set -a; if [ -f .services.env ]; then . ./.services.env; fi; $(BIN)/pytest --numprocesses $(PROCESSES) --dist loadfile $(ARGS)

services: install ## Find or start the servers that tests need
	@tools/services.sh

check: format-check lint types imports files test ## All checks and all tests

format: install ## Format the code and sort imports
	@$(BIN)/ruff check --quiet --select I --fix . && $(BIN)/ruff format .

format-check: install
	@$(BIN)/ruff format --check .

lint: install ## Find likely mistakes (ruff)
	@$(BIN)/ruff check .

types: install ## Check types (mypy, strict)
	@$(BIN)/mypy

imports: install ## Check the direction of imports
	@$(BIN)/lint-imports --no-logo

files: install ## Check sizes of files and functions, and that each module has its tests
	@$(BIN)/python tools/check_files.py

bench: $(BENCH_INSTALLED) ## Measure the hub beside its peers (needs nginx, caddy, wrk)
	@cd bench && failed=0; for job in gateway latency bodies intake calls; do ../$(BIN)/python $$job.py || failed=1; done; exit $$failed

bench-gateway: $(BENCH_INSTALLED) ## Measure only the gateway: calls/s and added latency
	@cd bench && failed=0; for job in gateway latency; do ../$(BIN)/python $$job.py || failed=1; done; exit $$failed

bench-notifications: $(BENCH_INSTALLED) ## Measure only notifications (needs RabbitMQ: make services)
	@cd bench && ../$(BIN)/python notifications.py

bench-criticality: $(BENCH_INSTALLED) ## Measure criticality: asks/s, waiting, cost (needs wrk, etcd, redis-server)
	@cd bench && failed=0; for job in criticality waiting; do ../$(BIN)/python $$job.py || failed=1; done; exit $$failed

bench-conversations: $(BENCH_INSTALLED) ## Measure conversations: imports, searches (needs wrk, redis-server)
	@cd bench && ../$(BIN)/python conversations.py

bench-console: $(BENCH_INSTALLED) ## Measure when the console's pages are painted (needs Chromium: make services)
	@cd bench && ../$(BIN)/python console.py

bench-soak: $(BENCH_INSTALLED) ## Ten minutes of mixed load, after which nothing may be left (MINUTES=10)
	@cd bench && ../$(BIN)/python soak.py --minutes $(MINUTES)

bench-tasks: $(BENCH_INSTALLED) services ## Measure jobs and tasks beside Celery and PgQueuer
	@cd bench && set -a && if [ -f ../.services.env ]; then . ../.services.env; fi && ../$(BIN)/python tasks.py

bench-grid: $(BENCH_INSTALLED) services ## Measure the grid: files, reports, intake, beside other stores
	@cd bench && set -a && if [ -f ../.services.env ]; then . ../.services.env; fi && failed=0; \
		for job in grid.py "grid.py --large --rounds 1" grid_api.py; do ../$(BIN)/python $$job || failed=1; done; exit $$failed

openapi: install ## Write docs/reference/openapi.json anew after a change of the API
	@$(BIN)/python tools/openapi.py

screenshots: install ## Take the pictures of the README anew (needs Chromium: make services)
	@$(BIN)/python tools/screenshots.py

lock: ## Pin dependencies anew after a change of pyproject.toml (UPGRADE=1: take the newest)
	@UPGRADE=$(UPGRADE) tools/lock.sh

##@ Container

.PHONY: docker docker-build docker-run
docker:
	@docker version --format . >/dev/null 2>&1 || { echo "No Docker engine answers: is it installed and started," \
		"and may you use it? (docker version says more.)" >&2; exit 1; }

docker-build: docker ## Build the image
	docker build --tag $(IMAGE) --file deploy/Dockerfile .

docker-run: docker-build ## Run the image on http://127.0.0.1:8000; its data stay in the volume signalbox-data
	docker run --rm --init --interactive --tty --publish 127.0.0.1:$(PORT):8000 --volume signalbox-data:/data $(IMAGE)

##@ Other

.PHONY: clean help
clean: ## Remove what was made here; settings and data stay
	@rm -rf .venv dist .coverage .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache .services.env
	@find src tests tools bench -name __pycache__ -type d -prune -exec rm -rf {} +

help: ## Show this list
	@awk 'BEGIN { FS = ":.*## " } /^##@/ { printf "\n%s\n", substr($$0, 5) } \
		/^[a-z-]+:.*## / { printf "  make %-19s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
