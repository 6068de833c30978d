"""`executor-balancer users`: on the database that is named, and in one line where there is none."""

import pytest
from typer.testing import CliRunner, Result

from app import cli

pytestmark = pytest.mark.slow


def users(*arguments: str, **environment: str) -> Result:
    return CliRunner().invoke(cli.app, ["users", *arguments], env=environment)


def test_a_user_is_made_listed_and_let_go(database_url: str):
    made = users("create", "anna", "--role", "lead", DATABASE_URL=database_url)
    assert made.exit_code == 0 and "'anna' (lead) with the password" in made.output
    listed = users("list", DATABASE_URL=database_url, COLUMNS="200")
    assert "anna" in listed.output and "lead" in listed.output
    assert "cannot sign in" in users("deactivate", "anna", DATABASE_URL=database_url).output
    assert users("activate", "nobody", DATABASE_URL=database_url).exit_code == 1


@pytest.mark.parametrize(
    ("environment", "arguments", "told"),
    [
        (
            {"DATABASE_URL": "postgresql://a:hidden@127.0.0.1:9/b"},
            ["list"],
            "127.0.0.1:9/b (DATABASE_URL): nothing answers",
        ),
        ({"DATABASE_URL": "mysql://a:hidden@b/c"}, ["list"], "DATABASE_URL: "),
        ({}, ["--data", "/nowhere", "list"], "no system runs on /nowhere: start one with `make run`"),
    ],
)
def test_what_cannot_be_reached_is_one_line(environment: dict[str, str], arguments: list[str], told: str):
    refused = users(*arguments, **environment)
    assert refused.exit_code == 1 and told in refused.stderr
    assert len(refused.stderr.splitlines()) == 1 and "hidden" not in refused.stderr
