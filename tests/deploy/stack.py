"""The first start of the compose stack, in directories of a test: what the service `secrets` makes."""

import importlib.util
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType

import pytest
from dotenv import dotenv_values

from tests.deploy.compose import ROOT


def load_make_secrets() -> ModuleType:
    """The script, which stands outside of every package because the container runs it alone."""
    path = ROOT / "deploy" / "compose" / "make_secrets.py"
    spec = importlib.util.spec_from_file_location("make_secrets", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["make_secrets"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


make_secrets = load_make_secrets()


def first_start(place: Path, environment: Mapping[str, str] | None = None) -> Path:
    """Run the service `secrets` as compose does; return the directory with `secrets`, `deploy` and `volumes`."""
    if os.geteuid() != 0:
        pytest.skip("only root can give files to the users of the images")
    for name in ("secrets", "volumes", "deploy/grafana", "deploy/postgres"):
        (place / name).mkdir(parents=True, exist_ok=True)
    for name in ("prometheus.yml", "alerts.yml", "postgres/postgresql.conf", "postgres/start.sh"):
        (place / "deploy" / name).write_bytes((ROOT / "deploy" / name).read_bytes())
    places = make_secrets.Places(place / "secrets", place / "deploy", place / "volumes")
    make_secrets.make_secrets(places, environment or {})
    return place


def given(file: Path) -> dict[str, str]:
    """The settings of a file, read as the application reads it."""
    return {name: value or "" for name, value in dotenv_values(file).items()}
