#!/bin/sh
# Resolves pyproject.toml into the locks: one version of everything for every platform and Python from 3.11 on,
# each file with its hashes. The full lock comes first and binds the smaller ones, so that all agree.
# `sh scripts/lock.sh --upgrade` takes the newest versions.
set -eu

compile() {
    output=$1
    shift
    .venv/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
        --no-header --no-annotate --no-emit-index-url --no-emit-find-links "$@" -o "$output" pyproject.toml
}

compile requirements-dev.txt --all-extras "$@"
compile requirements.txt --constraint requirements-dev.txt
compile requirements-embedded.txt --constraint requirements-dev.txt --extra embedded
compile requirements-dashboard.txt --constraint requirements-dev.txt --extra dashboard
