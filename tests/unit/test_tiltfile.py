"""The Tiltfile, evaluated without Tilt: the images, live updates and the release that it declares are consistent."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from charts.rendered import HELM, render, with_vendors
from tapedeck_crds.json import Json
from tapedeck_deck.embedded.processes import wait_exit

ROOT = Path(__file__).parents[2]
LIVE = ROOT / "workloads/live"
IMAGE = {"PYTHONDONTWRITEBYTECODE": "1"}  # as in the images


class Tilt:
    """Records the calls of a Tiltfile, whose Starlark is valid Python."""

    def __init__(self) -> None:
        self.images: dict[str, Json] = {}
        self.values: list[str] = []
        self.files: list[str] = []
        self.contexts: list[str] = []
        known = {
            "allow_k8s_contexts": self.contexts.append,
            "docker_build": self._build,
            "helm": self._helm,
            "read_file": lambda path: (ROOT / path).read_text(),
            "sync": lambda source, to: (source, to),
            "run": lambda command: command,
            "fall_back_on": lambda paths: list(paths),
            "blob": lambda text: text,
            "k8s_yaml": lambda _: None,
            "k8s_resource": lambda *_, **__: None,
        }
        exec((ROOT / "Tiltfile").read_text(), known)

    def _build(self, ref: str, context: str, **options: Any) -> None:
        assert context == "."
        self.images[ref] = options

    def _helm(self, chart: str, **options: Any) -> str:
        assert (ROOT / chart / "Chart.yaml").exists()
        self.values, self.files = options["set"], options["values"]
        return ""


@pytest.fixture(scope="module")
def tilt() -> Tilt:
    return Tilt()


def dockerfile(options: Json) -> str:
    text: str = options.get("dockerfile_contents") or (ROOT / options["dockerfile"]).read_text()
    return text


def test_each_image_is_a_stage_and_its_context_has_the_copied_files(tilt: Tilt) -> None:
    for ref, options in tilt.images.items():
        text = dockerfile(options)
        assert re.search(rf"^FROM \S+ AS {options['target']}$", text, re.MULTILINE), ref
        for line in re.findall(r"^COPY (?!--from)(.*) \S+$", text, re.MULTILINE):
            for source in line.split():
                assert list(ROOT.glob(source)), f"{ref}: {source}"
                assert source.split("/")[0] in options["only"], f"{ref}: {source}"


def test_live_updates_copy_files_to_where_the_process_reads_them(tilt: Tilt) -> None:
    updated = {ref: options for ref, options in tilt.images.items() if "live_update" in options}
    assert {ref.split("/")[1] for ref in updated} == {"operator", "recorder", "gateway"}
    for ref, options in updated.items():
        (script, module, code, folder) = re.findall(
            r'ENTRYPOINT \["sh", "(.*)", "(.*)", "(.*)", "(.*)"\]', dockerfile(options)
        )[-1]
        assert f"COPY workloads/live {script}" in dockerfile(options)
        rebuild, *steps = options["live_update"]
        assert all((ROOT / path).exists() for path in rebuild)
        packages = {}
        for source, to in steps[:-1]:
            assert (ROOT / source / "__init__.py").exists(), f"{ref}: {source}"
            packages[source.rsplit("/", 1)[1]] = to
            assert re.search(rf"^COPY {source}\S* {code}/", dockerfile(options), re.MULTILINE), f"{ref}: {source}"
        assert packages == {name: f"{folder}/lib/{name}" for name in ("tapedeck_crds", "tapedeck_common", module)}
        assert steps[-1] == f"touch {folder}/restart && kill $(cat {folder}/pid)"
        assert folder.startswith("/tmp/")  # an emptyDir, because the root file system is read-only


@pytest.mark.skipif(HELM is None, reason="needs helm: tests/e2e/rig/build")
def test_the_release_uses_these_images_and_constant_secrets(tilt: Tilt, tmp_path: Path) -> None:
    chart = with_vendors(tmp_path)
    arguments = [part for file in tilt.files for part in ("-f", str(ROOT / file))]
    arguments += [part for value in tilt.values for part in ("--set", value)]
    documents = render({}, *arguments, chart=chart)
    assert documents == render({}, *arguments, chart=chart)
    used = set(re.findall(r"tapedeck\.dev/[a-z]+", yaml.safe_dump_all(documents)))
    assert used == set(tilt.images)


def test_tilt_and_the_tests_use_the_same_kind_cluster(tilt: Tilt) -> None:
    config = yaml.safe_load((ROOT / "kind-config.yaml").read_text())
    assert tilt.contexts == [f"kind-{config['name']}"]
    assert f"kind get kubeconfig --name {config['name']}" in (ROOT / "tests/e2e/run").read_text()
    assert f"KIND := {config['name']}\n" in (ROOT / "Makefile").read_text()
    (node,) = config["nodes"]
    steps = (ROOT / "docs/operate/monitoring.md").read_text() + (ROOT / "docs/operate/install.md").read_text()
    for mapping in node["extraPortMappings"]:
        assert f"http://127.0.0.1:{mapping['hostPort']}" in steps


class LiveProcess:
    """A package of one module, run by the live update script."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "live"
        code = folder / "code"
        (code / "mine").mkdir(parents=True)
        (code / "mine" / "__main__.py").write_text(self.version(1))
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        self.process = subprocess.Popen(
            ["sh", LIVE, "mine", code, self.folder], stdout=subprocess.PIPE, text=True, env={"PATH": path, **IMAGE}
        )

    @staticmethod
    def version(number: int) -> str:
        return (
            "import os, signal, sys, time\n"  # print is not reentrant
            f"signal.signal(signal.SIGTERM, lambda *_: (os.write(1, b'bye\\n'), sys.exit({number})))\n"
            f"print({number}, flush=True)\ntime.sleep(600)\n"
        )

    def read_line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()


@pytest.fixture
def live(tmp_path: Path) -> Any:
    made = LiveProcess(tmp_path)
    yield made
    made.process.kill()
    wait_exit(made.process, 60)


def test_the_process_restarts_with_changed_code_and_exits_with_its_own_code(live: LiveProcess) -> None:
    assert live.read_line() == "1"
    (live.folder / "lib/mine/__main__.py").write_text(live.version(7))
    subprocess.run(["sh", "-c", f"touch {live.folder}/restart && kill $(cat {live.folder}/pid)"], check=True)
    assert [live.read_line(), live.read_line()] == ["bye", "7"]
    live.process.send_signal(signal.SIGTERM)
    assert live.read_line() == "bye"
    assert wait_exit(live.process, 60) == 7
