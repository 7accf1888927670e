"""``python -m release_steps X.Y.Z``: the steps of a release, and what is not ready for it. It changes nothing.

Exits with 1 while something is not ready.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
PATTERN = r"\d+\.\d+\.\d+"
VERSION_FILE, CHART = Path("workloads/common/tapedeck_common/version.py"), Path("charts/tapedeck/Chart.yaml")
NPM_PACKAGES = (Path("client/js/package.json"), Path("workloads/gateway/web/package.json"))
CHANGELOG = Path("CHANGELOG.md")
# The name on PyPI belonged to another program when this was written: the first upload needs the name (PEP 541).
STEPS = """\
once: get the names tapedeck and tapedeck-client on PyPI, tapedeck-datafeed on npm, with this repository as publisher
make test && make e2e CLUSTER=rig
git tag -s v{version} -m "Tapedeck {version}"
make packages images chart
git push origin v{version}      # the workflow `release` publishes packages, images and chart, and signs them
"""


def problems(version: str, root: Path = ROOT, changed: str = "") -> Iterator[str]:
    """What keeps this version from a release. ``changed`` are the files that git has not committed."""
    if not re.fullmatch(PATTERN, version):
        yield f"VERSION: got {version!r}, expected X.Y.Z"
        return
    if f'VERSION = "{version}"' not in (root / VERSION_FILE).read_text():
        yield f"{VERSION_FILE}: expected VERSION = {version!r}"
    chart = (root / CHART).read_text()
    for field in ("version", "appVersion"):
        if f"\n{field}: {version}\n" not in chart:
            yield f"{CHART}: expected {field}: {version}"
    for package in NPM_PACKAGES:
        if json.loads((root / package).read_text())["version"] != version:
            yield f"{package}: expected the version {version}"
    if f"\n## [{version}] - " not in (root / CHANGELOG).read_text():
        yield f"{CHANGELOG}: expected a heading [{version}] with its date, in place of Unreleased"
    if changed:
        yield "git: expected no changed files"


def main() -> int:
    version = sys.argv[1] if len(sys.argv) > 1 else ""
    done = subprocess.run(["git", "status", "--porcelain"], cwd=ROOT, check=True, capture_output=True, text=True)
    found = [*problems(version, changed=done.stdout)]
    if re.fullmatch(PATTERN, version):
        print(*(f"first: {problem}" for problem in found), STEPS.format(version=version), sep="\n", end="")
    else:
        print(*found, sep="\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
