"""Look the packages of requirements/runtime.txt up in a database of known vulnerabilities.

`make audit` runs this. It ends with status 1 if there are any, and says which versions are without them. A machine
that cannot reach the database is told so in one line, with status 0: that nothing was found then means nothing.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

REQUIREMENTS = Path(__file__).resolve().parent.parent / "requirements" / "runtime.txt"
LONGEST = 50.0  # seconds
LOOKUP = "15"  # seconds for one answer
ENOUGH = 0.9  # of the packages have to be known to the database; some have builds for one index alone


def main() -> int:
    try:
        packages = ask()
    except (OSError, ValueError, LookupError, TypeError, subprocess.TimeoutExpired):
        packages = []
    known = [package for package in packages if "skip_reason" not in package]
    wrong = [package for package in known if package["vulns"]]
    for package in wrong:
        for vulnerability in package["vulns"]:
            print(told(package, vulnerability), file=sys.stderr)
    if wrong:
        return 1
    if len(known) < ENOUGH * wanted():
        print(f"audit: NOT DONE: the database knew {len(known)} of {wanted()} packages; is there a network?")
    else:
        print(f"audit: no known vulnerability in {len(known)} packages")
    return 0


def ask() -> list[dict[str, Any]]:
    """What pip-audit says of each package. Raises ValueError or TimeoutExpired if it says nothing."""
    command = [sys.executable, "-m", "pip_audit", "--requirement", str(REQUIREMENTS), "--no-deps", "--disable-pip"]
    command += ["--format", "json", "--progress-spinner", "off", "--timeout", LOOKUP]
    answer = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=LONGEST)
    found: list[dict[str, Any]] = json.loads(answer.stdout)["dependencies"]
    return found


def wanted() -> int:
    """How many packages there are."""
    return sum("==" in line for line in REQUIREMENTS.read_text().splitlines())


def told(package: dict[str, Any], vulnerability: dict[str, Any]) -> str:
    fixed = ", ".join(vulnerability["fix_versions"]) or "no version yet"
    return f"audit: {package['name']} {package['version']}: {vulnerability['id']}, without it: {fixed}"


if __name__ == "__main__":
    sys.exit(main())
