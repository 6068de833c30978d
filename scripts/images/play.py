"""Builds the images, starts docker-compose.yaml on a Docker engine of its own and plays the run book: `make images`.

Base images that cannot be pulled are made of Debian's packages (the folders beside this file). Needs Linux, root, and
the programs that `engine.PROGRAMS` lists. Prints each line with its end; exit code 0: every line did what it must.
"""

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Callable
from pathlib import Path

from engine import Engine, Failed, require_programs, started_engine

ROOT = Path(__file__).resolve().parents[2]
STAND_INS = Path(__file__).resolve().parent
BASES = {
    "python:3.12-slim-bookworm": "python",
    "postgres:15-bookworm": "postgres",
    "redis:7-bookworm": "redis",
    "prom/prometheus:v2.53.0": "prometheus",
    "grafana/grafana:11.1.0": "grafana",
}
DEBIAN = "executor-balancer-debian"
PACKAGES = (
    "ca-certificates,netbase,tzdata,python3,python3-venv,python3-pip,busybox,"
    "postgresql-15,postgresql-client-15,redis-server,prometheus"
)
METRICS = (
    "assignments_total",
    "assignment_latency_seconds_count",
    "mae_fairness",
    "queue_lag",
    "executor_utilization",
)
ENDING = {"secrets", "migrate"}
"""Services that do their work and end."""
_PATIENCE = 900.0


class Play:
    """The stack of a fresh clone on an engine."""

    def __init__(self, engine: Engine, clone: Path) -> None:
        self._engine = engine
        self._clone = clone

    def line(self, command: str, *, shows: str = "") -> str:
        """Type a line in the clone. Raises Failed where it fails, or does not show what it must."""
        print(f"$ {command}", flush=True)
        shown = self._engine.run(["bash", "-c", command], cwd=self._clone).stdout
        print("  " + "\n  ".join(shown.strip().splitlines()[-12:]), flush=True)
        if not re.search(shows, shown):
            raise Failed(f"{command} does not show {shows!r}")
        return shown

    def until(self, what: str, condition: Callable[[], bool]) -> None:
        """Wait for a state. Raises Failed with the state of all services where it does not come."""
        deadline = time.monotonic() + _PATIENCE
        while not condition():
            if time.monotonic() > deadline:
                raise Failed(
                    f"{what}: not within {_PATIENCE:.0f} s\n{self._ask('docker-compose ps; docker-compose logs')}"
                )
            time.sleep(1)
        print(f"  {what}", flush=True)

    def healthy(self, service: str = "") -> int:
        """How many containers are healthy, of a service or of all."""
        return self._ask(f"docker-compose ps {service}").count("(healthy)")

    def scraped(self) -> bool:
        """Whether Prometheus reads the API and every worker, and has the metrics that the run book names."""
        targets = self._json("http://localhost:9090/api/v1/targets").get("activeTargets", [])
        if {each["health"] for each in targets} != {"up"} or len(targets) < 1 + 1 + 1:
            return False
        asked = (self._json(f"http://localhost:9090/api/v1/query?query={name}") for name in METRICS)
        return all(answer.get("result") for answer in asked)

    def followed(self, command: str, shows: str) -> None:
        """Type a line that does not end by itself, and interrupt it once it has shown what it must."""
        print(f"$ {command}", flush=True)
        log = self._clone.parent / "followed.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                self._engine.inside(shlex.split(command)),
                cwd=self._clone,
                env=self._engine.environment(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        try:
            self.until(
                f"shows {shows}", lambda: re.search(shows, log.read_text(errors="replace")) is not None
            )
        finally:
            os.killpg(process.pid, signal.SIGINT)
            process.wait(300)

    def _json(self, address: str) -> dict[str, list[dict[str, str]]]:
        answer = self._ask(f"curl --silent --max-time 10 '{address}'")
        return json.loads(answer).get("data", {}) if answer.startswith("{") else {}

    def _ask(self, command: str) -> str:
        return self._engine.run(["bash", "-c", command], cwd=self._clone, check=False).stdout


def play(engine: Engine, clone: Path) -> None:
    """Every line of the run book that needs the stack, then what must be true of it."""
    stack = Play(engine, clone)
    lines = tomllib.loads((ROOT / "docs" / "runbook.toml").read_text(encoding="utf-8"))["command"]
    ours = [each["line"] for each in lines if each.get("played") == "images"]
    stack.line("docker-compose config -q")
    stack.line(ours.pop(ours.index("docker-compose up -d")))
    staying = set(stack.line("docker-compose config --services").split()) - ENDING
    stack.until(f"{len(staying)} services are healthy", lambda: stack.healthy() == len(staying))
    stack.line("stat -c '%U %a' .secrets .secrets/host.env .secrets/stack.env", shows=r"700\n.*600\n.*600\n")
    stack.line("curl --silent --show-error http://localhost:8000/v1/health", shows='"status":"ok"')
    stack.line(
        "curl --silent --show-error --output /dev/null --write-out '%{http_code}' http://localhost:8501",
        shows="200",
    )
    stack.line(
        f"{sys.executable} demo.py --domain it --tasks 200 --executors 10 --lang en", shows="Fair share"
    )
    stack.line(f"{sys.executable} -m alembic current", shows=r"\(head\)")
    stack.line(f"{sys.executable} init_db.py")
    stack.line("docker-compose exec -T app python -m app.cli doctor", shows="balancer_app")
    stack.until("Prometheus reads all of it", stack.scraped)
    scale = ours.pop(ours.index("docker-compose up --scale worker=3"))
    for line in ours:
        if " -f" in line:
            stack.followed(line, shows=f"{line.split()[-1]}_1|app_1" if line.split()[-1] != "-f" else "app_1")
        else:
            stack.line(line.replace(" exec ", " exec -T "))
    stack.until("PostgreSQL is healthy", lambda: stack.healthy("postgres") == 1)
    stack.line("docker-compose restart postgres")
    stack.until("PostgreSQL is healthy", lambda: stack.healthy("postgres") == 1)
    stack.line(
        'docker-compose exec -T postgres psql -U postgres -d executor_balancer -c "SHOW shared_buffers"',
        shows="256MB",
    )
    stack.line(f"{scale.replace(' up ', ' up -d ')}")
    stack.until("3 workers are healthy", lambda: stack.healthy("worker") == 3)
    stack.line(
        f"{sys.executable} demo.py --domain it --tasks 200 --executors 10 --lang en", shows="Fair share"
    )
    stack.line("docker-compose down --volumes")


def prepare_bases(engine: Engine, place: Path) -> None:
    """Pull each base image, or make one of Debian's packages under its name."""
    for image, folder in BASES.items():
        if engine.run(["docker", "pull", "--quiet", image], cwd=place, check=False).returncode == 0:
            print(f"{image}: pulled", flush=True)
            continue
        if not engine.run(["docker", "images", "--quiet", DEBIAN], cwd=place).stdout.strip():
            _make_debian(engine, place)
        context = place / folder
        shutil.copytree(STAND_INS / folder, context)
        if folder == "python":  # pip inside trusts what this machine trusts
            shutil.copy("/etc/ssl/certs/ca-certificates.crt", context)
        engine.run(["docker", "build", "--tag", image, str(context)], cwd=place)
        print(f"{image}: cannot be pulled; made of Debian's packages", flush=True)


def _make_debian(engine: Engine, place: Path) -> None:
    archive = place / "debian.tar"
    made = ["mmdebstrap", "--quiet", "--variant=minbase", f"--include={PACKAGES}", "bookworm", str(archive)]
    done = subprocess.run(made, check=False, capture_output=True, text=True)
    if done.returncode:
        raise Failed(f"mmdebstrap: {done.stderr[-2000:]}")
    engine.run(["docker", "import", str(archive), DEBIAN], cwd=place)
    archive.unlink()


def fresh_clone(place: Path) -> Path:
    """A clone of this checkout with what is not committed yet, closed by umask 077 to all but its owner."""
    clone = place / "executor-balancer"
    clone.mkdir()
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    for name in subprocess.run(listed, cwd=ROOT, check=True, capture_output=True, text=True).stdout.split(
        "\0"
    ):
        source, target = ROOT / name, clone / name
        if name and source.is_file():
            target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            shutil.copyfile(source, target)
            target.chmod(0o600)
    for folder in (clone, *(path for path in clone.rglob("*") if path.is_dir())):
        folder.chmod(0o700)
    return clone


def main() -> int:
    """Play it all in a temporary directory; returns the exit code."""
    # A shell's background job ignores Ctrl-C, and so would all that it starts: `logs -f` would never end.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    place = Path(tempfile.mkdtemp(prefix="executor-balancer-images-"))
    try:
        require_programs()
        (place / "engine").mkdir()
        with started_engine(place / "engine") as engine:
            prepare_bases(engine, place)
            play(engine, fresh_clone(place))
    except Failed as error:
        print(f"images: {error}", file=sys.stderr)
        return 1
    finally:
        shutil.rmtree(place, ignore_errors=True)
    print("images: every line did what it must")
    return 0


if __name__ == "__main__":
    sys.exit(main())
