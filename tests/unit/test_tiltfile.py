"""The Tiltfile, run without Tilt: what it builds, keeps up to date and installs is there."""

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

from charts.rendered import HELM, render
from tapedeck_crds.json import Json
from tapedeck_deck.embedded.processes import wait_exit

ROOT = Path(__file__).parents[2]
LIVE = ROOT / "workloads/live"
IMAGE = {"PYTHONDONTWRITEBYTECODE": "1"}  # as the images have it


class Tilt:
    """Takes down what a Tiltfile asks for. Starlark is near enough to Python for this one."""

    def __init__(self) -> None:
        self.images: dict[str, Json] = {}
        self.values: list[str] = []
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
        self.values = options["set"]
        return ""


@pytest.fixture(scope="module")
def tilt() -> Tilt:
    return Tilt()


def dockerfile(options: Json) -> str:
    text: str = options.get("dockerfile_contents") or (ROOT / options["dockerfile"]).read_text()
    return text


def test_each_image_is_a_stage_of_a_dockerfile_with_what_that_copies(tilt: Tilt) -> None:
    for ref, options in tilt.images.items():
        text = dockerfile(options)
        assert re.search(rf"^FROM \S+ AS {options['target']}$", text, re.MULTILINE), ref
        for line in re.findall(r"^COPY (?!--from)(.*) \S+$", text, re.MULTILINE):
            for source in line.split():
                assert list(ROOT.glob(source)), f"{ref}: {source}"
                assert source.split("/")[0] in options["only"], f"{ref}: {source}"


def test_changed_files_go_where_the_process_reads_them(tilt: Tilt) -> None:
    updated = {ref: options for ref, options in tilt.images.items() if "live_update" in options}
    assert {ref.split("/")[1] for ref in updated} == {"operator", "recorder", "gateway"}
    for ref, options in updated.items():
        (script, module, code, folder) = re.findall(
            r'ENTRYPOINT \["sh", "(.*)", "(.*)", "(.*)", "(.*)"\]', dockerfile(options)
        )[-1]
        assert f"COPY workloads/live {script}" in dockerfile(options)
        anew, *steps = options["live_update"]
        assert all((ROOT / path).exists() for path in anew)
        packages = {}
        for source, to in steps[:-1]:
            assert (ROOT / source / "__init__.py").exists(), f"{ref}: {source}"
            packages[source.rsplit("/", 1)[1]] = to
            assert re.search(rf"^COPY {source}\S* {code}/", dockerfile(options), re.MULTILINE), f"{ref}: {source}"
        assert packages == {name: f"{folder}/lib/{name}" for name in ("tapedeck_crds", "tapedeck_common", module)}
        assert steps[-1] == f"touch {folder}/again && kill $(cat {folder}/pid)"
        assert folder.startswith("/tmp/")  # a volume of each pod, whose root file system is read-only


@pytest.mark.skipif(HELM is None, reason="needs helm: tests/e2e/rig/build")
def test_the_release_has_those_images_and_the_same_secrets_each_time(tilt: Tilt) -> None:
    values = [value for value in tilt.values if value != "broker.enabled=true"]  # the vendor's chart is not here
    assert len(values) == len(tilt.values) - 1
    arguments = [part for value in (*values, "kafka.bootstrap=k:9093") for part in ("--set", value)]
    documents = render({}, *arguments)
    assert documents == render({}, *arguments)
    used = set(re.findall(r"tapedeck\.dev/[a-z]+", yaml.safe_dump_all(documents)))
    assert used == set(tilt.images)


def test_kind_is_the_cluster_that_tilt_and_the_tests_mean(tilt: Tilt) -> None:
    config = yaml.safe_load((ROOT / "kind-config.yaml").read_text())
    assert tilt.contexts == [f"kind-{config['name']}"]
    assert f"kind get kubeconfig --name {config['name']}" in (ROOT / "tests/e2e/run").read_text()
    (node,) = config["nodes"]
    (mapping,) = node["extraPortMappings"]
    steps = (ROOT / "docs/cluster.md").read_text()
    assert f"gateway.service.nodePort={mapping['containerPort']}" in steps
    assert f"http://127.0.0.1:{mapping['hostPort']}" in steps


class Lived:
    """A package of one module, run by the script of live updates."""

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
            "import os, signal, sys, time\n"  # print can't be called while it is at work
            f"signal.signal(signal.SIGTERM, lambda *_: (os.write(1, b'bye\\n'), sys.exit({number})))\n"
            f"print({number}, flush=True)\ntime.sleep(60)\n"
        )

    def said(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()


@pytest.fixture
def lived(tmp_path: Path) -> Any:
    made = Lived(tmp_path)
    yield made
    made.process.kill()
    wait_exit(made.process, 10)


def test_the_process_starts_again_with_changed_code_and_ends_with_its_own_code(lived: Lived) -> None:
    assert lived.said() == "1"
    (lived.folder / "lib/mine/__main__.py").write_text(lived.version(7))
    subprocess.run(["sh", "-c", f"touch {lived.folder}/again && kill $(cat {lived.folder}/pid)"], check=True)
    assert [lived.said(), lived.said()] == ["bye", "7"]
    lived.process.send_signal(signal.SIGTERM)
    assert lived.said() == "bye"
    assert wait_exit(lived.process, 10) == 7
