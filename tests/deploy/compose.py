"""docker-compose.yaml as compose itself would read it."""

import re
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
VARIABLE = re.compile(r"\$\$|\$\{([A-Z_]+)(?::([-?])([^}]*))?\}")


def compose() -> dict[str, Any]:
    """The file, merge keys resolved, variables not."""
    document: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yaml").read_text())
    return document


def resolved(value: Any, given: dict[str, str]) -> Any:
    """The same with variables from `.env`. Raises KeyError for one that is required and not there."""
    if isinstance(value, dict):
        return {key: resolved(each, given) for key, each in value.items()}
    if isinstance(value, list):
        return [resolved(each, given) for each in value]
    return VARIABLE.sub(lambda found: _value(found, given), value) if isinstance(value, str) else value


def _value(found: re.Match[str], given: dict[str, str]) -> str:
    if found.group(0) == "$$":
        return "$"
    name, kind, word = found.groups()
    return given[name] if kind != "-" or given.get(name) else word
