"""``python -m release_steps X.Y.Z``: what is not ready for a release, and the steps of it. It changes nothing."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
VERSION_FILE, CHART = Path("workloads/common/tapedeck_common/version.py"), Path("charts/tapedeck/Chart.yaml")
NPM_PACKAGE, CHANGELOG = Path("client/js/package.json"), Path("CHANGELOG.md")
STEPS = """\
make test && make e2e CLUSTER=rig
git tag -s v{version} -m "Tapedeck {version}"
make packages images chart
git push origin v{version}      # the workflow `release` publishes packages, images and chart, and signs them
"""


def problems(version: str, root: Path = ROOT, changed: str = "") -> Iterator[str]:
    """What keeps this version from a release. ``changed`` are the files that git has not committed."""
    if not re.fullmatch(r"\d+\.\d+\.\d+", version):
        yield f"VERSION: got {version!r}, expected X.Y.Z"
        return
    if f'VERSION = "{version}"' not in (root / VERSION_FILE).read_text():
        yield f"{VERSION_FILE}: expected VERSION = {version!r}"
    chart = (root / CHART).read_text()
    for field in ("version", "appVersion"):
        if f"\n{field}: {version}\n" not in chart:
            yield f"{CHART}: expected {field}: {version}"
    if json.loads((root / NPM_PACKAGE).read_text())["version"] != version:
        yield f"{NPM_PACKAGE}: expected the version {version}"
    if f"\n## [{version}] - " not in (root / CHANGELOG).read_text():
        yield f"{CHANGELOG}: expected a heading [{version}] with its date, in place of Unreleased"
    if changed:
        yield "git: expected no changed files"


def main() -> int:
    version = sys.argv[1] if len(sys.argv) > 1 else ""
    done = subprocess.run(["git", "status", "--porcelain"], cwd=ROOT, check=True, capture_output=True, text=True)
    found = [*problems(version, changed=done.stdout)]
    for problem in found:
        print(problem)
    if not found:
        print(STEPS.format(version=version), end="")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
