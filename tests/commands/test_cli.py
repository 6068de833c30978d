"""The command line: what cannot work is told in one line, with the remedy."""

import re
import shutil
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from app import __version__, cli
from app.local.embedded import temporary_directory
from app.local.embedded.data import free_port
from tests.servers import ROOT

runner = CliRunner()


def test_without_a_command_it_says_what_there_is():
    said = runner.invoke(cli.app, [])

    assert "run" in said.output
    assert "worker" in said.output


def test_a_missing_wheel_is_told_with_the_command_that_installs_it(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    directory = temporary_directory("executor-balancer-cli-")
    try:
        said = runner.invoke(cli.app, ["run", "--data", str(directory / "data"), "--port", str(free_port())])
    finally:
        shutil.rmtree(directory)

    assert said.exit_code == 1
    assert "pip install 'executor-balancer[embedded]'" in said.stderr


@pytest.mark.parametrize(
    ("setting", "value", "told"),
    [
        (
            "DATABASE_URL",
            "mysql://somewhere",
            "DATABASE_URL: Value error, DATABASE_URL must begin with postgresql://",
        ),
        ("PORT", "many", "PORT: Input should be a valid integer"),
    ],
)
def test_a_wrong_setting_is_named_as_it_is_set(monkeypatch, setting, value, told):
    monkeypatch.setenv(setting, value)

    said = runner.invoke(cli.app, ["run"])

    assert said.exit_code == 1
    assert told in said.stderr.replace("\n", " ")


def test_two_services_on_one_port_are_refused_by_name():
    port = str(free_port())
    said = runner.invoke(cli.app, ["run", "--port", port, "--ais-port", port, "--no-dashboard"])

    assert said.exit_code == 1
    assert f"--port and --ais-port are both {port}" in said.stderr.replace("\n", " ")


def test_it_tells_its_version():
    said = runner.invoke(cli.app, ["--version"])

    assert (said.exit_code, said.output.strip()) == (0, __version__)


def test_the_list_of_commands_imports_none_of_them():
    program = "import sys; from app import cli\ntry: cli.app(['--help'])\nfinally: print('loaded:', list(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    loaded = set(re.findall(r"'([\w.]+)'", done.stdout.partition("loaded:")[2]))
    assert "app.cli" in loaded
    assert not loaded & {"sqlalchemy", "pydantic", "fastapi", "numpy", "redis", "app.config"}
    assert all(name in done.stdout for name in cli.COMMANDS)


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_the_list_says_what_the_command_says_of_itself(name: str):
    assert (cli.load(name).help or "").replace("\n", " ").startswith(cli.COMMANDS[name].help)
