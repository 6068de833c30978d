"""`executor-balancer run` over https, with the certificate that `make cert` makes."""

import os
import ssl
import stat
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from app.local.embedded import temporary_directory
from tests.local.test_standalone import System, eventually
from tests.servers import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("standalone")]


def test_the_whole_system_over_https_keeps_its_key_and_refuses_others_without_one(
    database_url: str, redis_url: str
) -> None:
    place = temporary_directory("executor-balancer-https-")
    made = subprocess.run([sys.executable, ROOT / "scripts" / "make_certificate.py"], cwd=place, check=False)
    assert made.returncode == 0
    certificate, key = place / "certs" / "cert.pem", place / "certs" / "key.pem"
    tls = ("--ssl-certfile", str(certificate), "--ssl-keyfile", str(key), "--workers", "0")
    system = System(place / "data", *tls, environment={"DATABASE_URL": database_url, "REDIS_URL": redis_url})
    try:
        assert eventually(system.is_ready, 180)
        trusted = ssl.create_default_context(cafile=str(certificate))
        with httpx.Client(base_url=f"https://localhost:{system.port}", verify=trusted) as client:
            answer = client.get("/v1/auth/me")
            assert (answer.status_code, answer.json()["local"]) == (200, True)
            assert "strict-transport-security" in answer.headers
            assert "server" not in answer.headers
        secret = place / "data" / "secret.key"
        assert stat.S_IMODE(secret.stat().st_mode) == 0o600
    finally:
        system.process.terminate()
        system.process.wait(60)
    refuse_others(place / "data", database_url)
    subprocess.run(["rm", "-rf", place], check=True)


def refuse_others(data: Path, database_url: str) -> None:
    told = subprocess.run(
        [sys.executable, "-m", "app.cli", "run", "--data", data, "--host", "0.0.0.0"],  # noqa: S104
        cwd=ROOT,
        env=os.environ | {"DATABASE_URL": database_url, "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert told.returncode == 1
    assert told.stderr.strip().startswith(
        "Cannot start: 0.0.0.0 is reached by other machines: set SECRET_KEY"
    )
