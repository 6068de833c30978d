"""Look the locked requirements up among known weaknesses: PyPI's own list, or OSV's where that says nothing.

Exit code 0: all were looked up, nothing is known; 1: something is known, see above; 2: no list could be reached.
"""

import json
import subprocess
import sys
from pathlib import Path

LOCKS = ("requirements.txt", "requirements/production.txt", "requirements/dashboard.txt")
SERVICES = ("pypi", "osv")


def ask(service: str) -> tuple[dict[str, list[str]], int] | None:
    """Known weaknesses by package, and how many packages were looked up; None where the service says nothing."""
    locks = [part for lock in LOCKS for part in ("-r", lock)]
    command = [str(Path(sys.executable).with_name("pip-audit")), "--disable-pip", "--require-hashes"]
    options = ["--vulnerability-service", service, "--format", "json", "--progress-spinner", "off"]
    done = subprocess.run(
        [*command, *options, *locks], capture_output=True, text=True, check=False, timeout=300
    )
    try:
        packages = json.loads(done.stdout)["dependencies"]
    except (ValueError, KeyError):
        return None
    if not packages or any("skip_reason" in package for package in packages):
        return None
    known = {
        f"{package['name']} {package['version']}": [weakness["id"] for weakness in package["vulns"]]
        for package in packages
        if package["vulns"]
    }
    return known, len(packages)


def main() -> int:
    """Ask one service after the other."""
    for service in SERVICES:
        told = ask(service)
        if told is not None:
            known, looked_up = told
            for package, weaknesses in known.items():
                print(f"{package}: {', '.join(weaknesses)}")
            print(f"{looked_up} packages looked up at {service}: {len(known)} with known weaknesses")
            return int(bool(known))
    print("NOT AUDITED: no list of known weaknesses is reachable from here (pypi, osv); run it where one is")
    return 2


if __name__ == "__main__":
    sys.exit(main())
