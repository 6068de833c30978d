"""The file system of an image, as the Dockerfile describes it, made without Docker: its files and its environment."""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.deploy.compose import ROOT

FROM = re.compile(r"FROM (\S+) AS (\S+)")
COPY = re.compile(r"COPY (--from=(?P<stage>\S+) )?(?P<sources>.+) (?P<target>\S+)")
REQUIREMENTS = re.compile(r"-r (\S+)")


@dataclass(frozen=True)
class Image:
    """What a target of the Dockerfile holds: copied files under `root`, Python and its packages under `venv`."""

    root: Path
    venv: Path

    @property
    def programs(self) -> Path:
        return self.venv / "bin"


def make_image(target: str, place: Path) -> Image:
    """Copy the files that the target copies, and install its locks, and nothing else, into a fresh environment."""
    image = Image(place / target / "files", place / target / "venv")
    image.root.mkdir(parents=True)
    locks = []
    for instruction in instructions(target):
        copied = COPY.fullmatch(instruction)
        if copied and copied["stage"]:
            locks = locks_of(copied["stage"])
        elif copied:
            copy(copied["sources"].split(), image.root / copied["target"])
    install(locks, image.venv)
    return image


def stages() -> dict[str, list[str]]:
    """The instructions of each stage, the first of them its FROM; continued lines are joined."""
    found: dict[str, list[str]] = {}
    text = (ROOT / "Dockerfile").read_text().replace("\\\n", " ")
    for line in (line for line in text.splitlines() if line and not line.startswith("#")):
        if match := FROM.fullmatch(line):
            found[match[2]] = []
        found[next(reversed(found))].append(line)
    return found


def instructions(target: str) -> Iterator[str]:
    """The instructions of a stage after those of the stages that it stands on."""
    first, *rest = stages()[target]
    base = FROM.fullmatch(first)
    if base and base[1] in stages():
        yield from instructions(base[1])
    yield from rest


def locks_of(stage: str) -> list[Path]:
    """The locks that a stage installs, each of which it has copied from the checkout."""
    locks: dict[str, Path] = {}
    wanted = []
    for instruction in instructions(stage):
        if copied := COPY.fullmatch(instruction):
            locks |= {Path(source).name: ROOT / source for source in copied["sources"].split()}
        elif instruction.startswith("RUN pip install"):
            wanted += [locks[name] for name in REQUIREMENTS.findall(instruction)]
    return wanted


def copy(sources: list[str], target: Path) -> None:
    for source in sources:
        if (ROOT / source).is_dir():
            shutil.copytree(ROOT / source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / source, target / Path(source).name)


def install(locks: list[Path], venv: Path) -> None:
    """Make an environment of these locks; by uv where it can, since pip takes a minute."""
    subprocess.run([sys.executable, "-m", "venv", venv], check=True, timeout=120)
    wanted = [part for lock in locks for part in ("-r", str(lock))]
    uv = [Path(sys.executable).parent / "uv", "pip", "install", "--quiet", "--system-certs"]
    done = subprocess.run([*uv, "--python", venv, "--require-hashes", *wanted], check=False, timeout=300)
    if done.returncode:
        pip = [venv / "bin" / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, "--require-hashes", *wanted], check=True, timeout=600)
