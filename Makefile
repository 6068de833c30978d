# Every command of the project. `make` alone lists them; nothing needs to be installed or set before.
#
# The environment lives in .venv, installed from the hashed lock; the first `make` of a fresh clone makes it.
# Wishes are optional: PYTHON=python3.12, PORT=9000, WORKERS=4, DATA=/srv/balancer, TLS=1, NAMES="host ...", ARGS="...".

SHELL := /bin/sh
.DEFAULT_GOAL := help

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
LOCK := requirements.txt

RUN_OPTIONS = $(if $(PORT),--port $(PORT)) $(if $(WORKERS),--workers $(WORKERS)) $(if $(DATA),--data $(DATA))
RUN_OPTIONS += $(if $(TLS),--ssl-certfile certs/cert.pem --ssl-keyfile certs/key.pem)

# Which running system is meant, for commands that look at one.
WHICH = $(if $(DATA),--data $(DATA))
SCHEME = $(if $(TLS),https,http)

.PHONY: docs messages pictures help setup run demo doctor test quick lint format bench chaos fuzz audit sbom env cert lock clean runbook images

help: ## list the commands
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(STAMP) ## make the environment (.venv) from the locked requirements


$(STAMP): $(LOCK) pyproject.toml scripts/setup.sh
	@PYTHON="$(PYTHON)" VENV="$(VENV)" LOCK="$(LOCK)" sh scripts/setup.sh
	@touch $@

run: $(STAMP) ## start everything here: servers, API, workers, dashboard
	@exec $(BIN)/executor-balancer run $(RUN_OPTIONS) $(ARGS)

demo: $(STAMP) ## play real work through the running system, or one started for it
	@exec $(if $(TLS),env SSL_CERT_FILE=certs/cert.pem) $(BIN)/python demo.py $(WHICH) $(if $(PORT),--url $(SCHEME)://127.0.0.1:$(PORT)) $(ARGS)

doctor: $(STAMP) ## check this machine and the running system, with a remedy for what is wrong
	@exec $(BIN)/executor-balancer doctor $(WHICH) $(ARGS)

test: lint ## everything that must hold: style, types, arrows, tests
	@sh scripts/chromium.sh
	$(BIN)/python -m pytest -n 2 --dist loadgroup $(ARGS)

runbook: $(STAMP) ## play every command of the READMEs in a fresh clone, the whole of it, on each Python that is here
	RUNBOOK=whole $(BIN)/python -m pytest -s -p no:randomly tests/runbook $(ARGS)

images: $(STAMP) ## build the images, start the compose stack on a Docker engine of its own, play the run book (root)
	@$(BIN)/python scripts/images/play.py

quick: $(STAMP) ## the tests that take no time, in this process
	$(BIN)/python -m pytest -m "not slow" $(ARGS)

lint: $(STAMP) ## style, types and import arrows
	$(BIN)/ruff check .
	$(BIN)/ruff format --check --quiet .
	$(BIN)/black --check --quiet .
	$(BIN)/isort --check-only --quiet .
	$(BIN)/flake8
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo --no-cache

format: $(STAMP) ## put the code in form
	$(BIN)/ruff check --fix --quiet . || true
	$(BIN)/ruff format --quiet .
	$(BIN)/black --quiet .

messages: $(STAMP) ## bring the catalogue of messages (app/messages/ru.po) and docs/errors.md in line with the code
	@PYTHONPATH=. $(BIN)/python scripts/messages.py
	@PYTHONPATH=. $(BIN)/python scripts/make_error_doc.py

bench: $(STAMP) ## measure: throughput, latency, fairness
	$(BIN)/python -m benchmarks $(ARGS)

chaos: $(STAMP) ## kill servers and workers under load, and count what is lost
	$(BIN)/python -m benchmarks.chaos $(ARGS)

fuzz: $(STAMP) ## attack it with made-up requests, files and rules; FUZZ_EXAMPLES=200 of each kind, FUZZ_SEED=now
	FUZZ_EXAMPLES=$${FUZZ_EXAMPLES:-200} $(BIN)/python -m pytest -n 2 -o faulthandler_timeout=1800 --hypothesis-seed=$${FUZZ_SEED:-$$(date +%s)} \
		tests/api/test_openapi.py tests/access/test_injection.py tests/access/test_spellings.py tests/fuzz $(ARGS)

audit: $(STAMP) ## look the locked requirements up among known weaknesses
	@$(BIN)/python scripts/audit.py

sbom: $(STAMP) ## write sbom.json: everything that is installed to run it, as CycloneDX
	$(BIN)/cyclonedx-py requirements requirements/production.txt --pyproject pyproject.toml --output-reproducible -o sbom.json

env: $(STAMP) ## write a .env with fresh secrets, unless there is one
	@$(BIN)/python scripts/make_env.py

cert: $(STAMP) ## make a certificate for https on this machine, in certs/
	@$(BIN)/python scripts/make_certificate.py $(NAMES)

lock: $(STAMP) ## resolve the requirements again
	@sh scripts/lock.sh

docs: $(STAMP) ## draw the schema anew and build the documents as a site, in site/
	PYTHONPATH=. $(BIN)/python scripts/make_schema_doc.py
	$(BIN)/mkdocs build --strict --quiet

pictures: $(STAMP) ## take the READMEs' pictures of the dashboard anew; ARGS=--all: every page into artifacts/pictures
	@sh scripts/chromium.sh
	PYTHONPATH=. $(BIN)/python scripts/make_pictures.py $(ARGS)

clean: ## remove the environment and all caches; data of `make run` stays
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
