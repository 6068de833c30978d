#!/bin/sh
# Resolves pyproject.toml into the locks, each file with its hashes; one version of everything for Linux, macOS and
# Windows, x86_64 and aarch64, and Python from 3.11 on.
#   requirements.txt              the whole environment: API, worker, dashboard, tests, linters, debugger; `make setup` too
#   requirements/production.txt   what the app image installs
#   requirements/dashboard.txt    what the dashboard image installs
# The full lock comes first and binds the smaller ones, so that all agree.
# `sh scripts/lock.sh --upgrade` takes the newest versions.
set -eu

UV=${UV:-.venv/bin/uv}

compile() {
    output=$1
    shift
    "$UV" pip compile --quiet --universal --python-version 3.11 --generate-hashes \
        --no-header --no-annotate --no-emit-index-url --no-emit-find-links "$@" -o "$output" pyproject.toml
}

compile requirements.txt --all-extras "$@"
compile requirements/production.txt --constraint requirements.txt
compile requirements/dashboard.txt --constraint requirements.txt --extra dashboard
