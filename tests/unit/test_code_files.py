"""What users' code reads beside its YAML, in a folder that is shaped like a home: its modules, and nothing else."""

from __future__ import annotations

import json
import os
from contextlib import closing
from pathlib import Path

import pytest

from pods.engine import random_bars
from pods.strategy_process import run_strategy
from tapedeck_backtest.errors import RunFailed
from tapedeck_common import code_files
from tapedeck_common.code_files import readable_files, reading_advice
from tapedeck_common.settings import PodSettings
from tapedeck_common.unlisted_modules import UnlistedModules
from tapedeck_crds.transforms import FunctionTransform
from tapedeck_transform.__main__ import TransformWorkload
from tapedeck_transform.functions import UserFunction
from tapedeck_transform.stages import FunctionFailed

PRIVATE = (
    ".ssh/id_rsa", ".env", ".config/x.py", "tax.txt", "docs/tax.txt", "notes/secret.txt", "notes/.hidden.py",
    "notes/deep/secret.txt", "library/secret.txt", "library/.env", "own_package/.env", "own_package/.ssh/id_rsa",
    "own_package/data/.key", "node_modules/x.py", "own_package/node_modules/x.js", ".venv/x.py", ".git/x.py",
    "own_package/__pycache__/x.txt", "home/store_dsn",
)  # fmt: skip
CODE = {
    "helpers.py": "ONE = 1",
    "library/__init__.py": "",
    "library/sub/__init__.py": "TWO = 2",
    "notes/scratch.py": "FOUR = 4",
    "own_package/__init__.py": "",
    "own_package/parts.py": "EIGHT = 8",
}
DATA = "own_package/data/weights.json"
IMPORTS = """
import helpers, library.sub, notes.scratch, own_package.parts
SUM = helpers.ONE + library.sub.TWO + notes.scratch.FOUR + own_package.parts.EIGHT
"""
STRATEGY = "import backtrader as bt\n{}\nclass Mine(bt.Strategy):\n    def next(self):\n        {}\n"
FUNCTION = "{}\ndef mine(window):\n    {}\n"
BARS = random_bars("A", 1, 20)


def text_of(path: str) -> str:
    return f"its-secret-{path}"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A folder shaped like a home, with modules."""
    for path in (*PRIVATE, DATA):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text_of(path))
    for path, source in CODE.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(source)
    return tmp_path


def names(folder: Path, module: str = "", *secret: Path) -> list[str]:
    return sorted(str(path.relative_to(folder.resolve())) for path in readable_files(folder, module, secret))


def test_modules_are_readable_and_nothing_else(home: Path) -> None:
    assert names(home) == sorted(CODE)
    assert names(home, "helpers:Mine") == sorted(CODE)
    assert names(home, "nowhere.at.all:Mine") == sorted(CODE)


def test_the_named_package_is_readable_with_its_data(home: Path) -> None:
    assert names(home, "own_package.parts:Mine") == sorted([*CODE, DATA])
    assert names(home, "own_package:Mine") == sorted([*CODE, DATA])
    assert names(home, "library.sub:Mine") == sorted([*CODE, "library/secret.txt"])


def test_a_folder_without_modules_is_walked_only_where_the_module_is_named(home: Path) -> None:
    (home / "docs" / "strategies").mkdir()
    (home / "docs" / "strategies" / "mine.py").touch()
    assert names(home) == sorted(CODE)
    assert names(home, "docs.strategies.mine:Mine") == sorted([*CODE, "docs/strategies/mine.py"])
    (home / "docs" / "strategies" / "__init__.py").touch()
    (home / "docs" / "strategies" / "weights").touch()
    assert names(home, "docs.strategies.mine:Mine") == sorted(
        [*CODE, *(f"docs/strategies/{name}" for name in ("mine.py", "__init__.py", "weights"))]
    )


def test_links_lead_to_nothing_that_is_not_readable_by_itself(home: Path) -> None:
    outside = home.with_name("outside")
    outside.mkdir()
    (outside / "theirs.py").touch()
    links: dict[str, Path | str] = {
        "out.py": outside / "theirs.py", "out": outside, "key.py": home / ".ssh" / "id_rsa", "tax.py": "docs/tax.txt",
        "hidden.py": ".config/x.py", "ssh": ".ssh", "own_package/docs": "../docs", "own_package/tax": "../docs/tax.txt",
        "own_package/key": ".ssh/id_rsa", "own_package/around": ".", "around": ".", "gone.py": "nowhere",
        "loop": "loop",
    }  # fmt: skip
    for name, target in links.items():
        (home / name).symlink_to(target)
    assert names(home, "own_package.parts:Mine") == sorted([*CODE, DATA])
    (home / "again.py").symlink_to("helpers.py")
    assert home.resolve() / "helpers.py" in readable_files(home)


def test_files_that_kubernetes_links_are_readable(tmp_path: Path) -> None:
    (tmp_path / "..2026_01_01").mkdir()
    (tmp_path / "..2026_01_01" / "mine.py").touch()
    (tmp_path / "..data").symlink_to("..2026_01_01")
    (tmp_path / "mine.py").symlink_to("..data/mine.py")
    assert names(tmp_path, "mine:Mine") == ["..2026_01_01/mine.py"]


def test_secret_paths_and_what_is_no_file_are_left_out(home: Path) -> None:
    os.mkfifo(home / "pipe.py")
    (home / "link.py").symlink_to("library/sub/__init__.py")
    left = sorted(path for path in CODE if not path.startswith("library/"))
    assert names(home, "", home / "library", home.parent / "elsewhere") == left
    assert names(home, "library.sub:Mine", home / "library") == left
    assert set(names(home, "", home.parent)) == set(CODE)  # of a folder in a secret one, its own modules


def test_the_walk_is_bounded(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(code_files, "FILES_MAX", 3)
    found = readable_files(home, "own_package:Mine")
    assert len(found) == 3
    assert all(path.is_relative_to(home.resolve() / "own_package") for path in found)
    monkeypatch.setattr(code_files, "_FOLDER_MAX", 1)
    assert len(readable_files(home, "own_package:Mine")) <= 1
    monkeypatch.setattr(code_files, "_SCANNED_MAX", 2)
    assert len(readable_files(home, "own_package:Mine")) <= 2
    assert readable_files(home / "nowhere") == readable_files(home / "tax.txt") == []


def test_the_advice_is_for_refused_files_of_the_folder_alone(home: Path) -> None:
    denied = PermissionError(13, "Permission denied", str(home / "tax.txt"))
    assert "move the file into that package" in reading_advice(denied, [str(home)])
    assert reading_advice(denied, ["", str(home / "docs")]) == ""
    assert reading_advice(PermissionError(1, "not allowed"), [str(home)]) == ""
    assert reading_advice(FileNotFoundError(2, "none", str(home / "x")), [str(home)]) == ""
    wrapped = ValueError("no data")
    wrapped.__cause__ = denied
    assert reading_advice(wrapped, [str(home)]) != ""


@pytest.mark.slow
def test_a_strategy_imports_its_modules(home: Path) -> None:
    (home / "mine.py").write_text(STRATEGY.format(IMPORTS, "assert SUM == 15"))
    run_strategy(home, BARS, "mine:Mine")
    reading = f"assert open({str(home / DATA)!r}).read() == {text_of(DATA)!r}"
    (home / "own_package" / "mine.py").write_text(STRATEGY.format(IMPORTS, reading))
    run_strategy(home, BARS, "own_package.mine:Mine")


@pytest.mark.slow
def test_a_strategy_reads_nothing_else(home: Path) -> None:
    trying = f"""
def refused(path):
    try:
        return open(path).read() == "" and path
    except PermissionError:
        return path
REFUSED = [path for path in {[str(home / path) for path in PRIVATE]!r} if refused(path)]"""
    (home / "own_package" / "mine.py").write_text(STRATEGY.format(IMPORTS + trying, "raise LookupError(len(REFUSED))"))
    with pytest.raises(RunFailed, match=f"LookupError: {len(PRIVATE)}"):
        run_strategy(home, BARS, "own_package.mine:Mine")


@pytest.mark.slow
@pytest.mark.parametrize("path", [".ssh/id_rsa", "docs/tax.txt", "notes/secret.txt"])
def test_a_refused_read_says_what_is_readable(home: Path, path: str) -> None:
    reading = f"raise LookupError(open({str(home / path)!r}).read())"
    (home / "mine.py").write_text(STRATEGY.format(IMPORTS, reading))
    with pytest.raises(RunFailed) as failed:
        run_strategy(home, BARS, "mine:Mine")
    assert "its-secret" not in failed.value.message
    assert f"access to '{home / path}'" in failed.value.message
    assert "move the file into that package" in failed.value.message


def test_modules_are_found_without_a_list_of_names(home: Path) -> None:
    finder = UnlistedModules(home)
    found = {
        "helpers": ("helpers.py", False), "library": ("library/__init__.py", True), "absent": None, "tax": None,
    }  # fmt: skip
    for name, expected in found.items():
        spec = finder.find_spec(name, None)
        assert (spec and (spec.origin, spec.submodule_search_locations is not None)) == (
            expected and (str(home / expected[0]), expected[1])
        )
    spec = finder.find_spec("notes", None)
    assert spec is not None and (spec.origin, spec.submodule_search_locations) == (None, [str(home / "notes")])
    inner = finder.find_spec("notes.scratch", [str(home / "notes"), "/elsewhere"])
    assert inner is not None and inner.origin == str(home / "notes" / "scratch.py")
    assert finder.find_spec("other.scratch", [str(home.parent)]) is None


def function_of(home: Path, module: str) -> UserFunction:
    return UserFunction("x", FunctionTransform(module=f"{module}:mine"), [], beside=home)


@pytest.mark.slow
def test_a_function_imports_its_modules(home: Path) -> None:
    (home / "mine.py").write_text(FUNCTION.format(IMPORTS, "return SUM"))
    with closing(function_of(home, "mine")) as function:
        assert function.call([{}]) == 15
    (home / "own_package" / "mine.py").write_text(FUNCTION.format("", f"return len(open({str(home / DATA)!r}).read())"))
    with closing(function_of(home, "own_package.mine")) as function:
        assert function.call([{}]) == len(text_of(DATA))


@pytest.mark.slow
def test_a_function_reads_nothing_else(home: Path) -> None:
    reading = "raise LookupError(open(window[0]['path']).read())"
    (home / "own_package" / "mine.py").write_text(FUNCTION.format(IMPORTS, reading))
    with closing(function_of(home, "own_package.mine")) as function:
        for path in PRIVATE:
            with pytest.raises(FunctionFailed) as failed:
                function.call([{"path": str(home / path)}])
            said = str(failed.value)
            assert "its-secret" not in said, path
            assert said.startswith(f"not allowed in the sandbox: access to '{home / path}'")
            assert "move the file into that package" in said and said.endswith("(mine.py:6)")


@pytest.mark.slow
def test_a_function_of_a_config_map_reads_its_files_and_nothing_beside_the_yaml(home: Path, tmp_path: Path) -> None:
    mounted = tmp_path / "mounted"
    mounted.mkdir()
    (mounted / "weights.json").write_text("[1]")
    (mounted / "ranges.py").write_text(FUNCTION.format("", "return len(open(window[0]['path']).read())"))
    given = FunctionTransform.model_validate({"module": "ranges:mine", "configMap": "code"})
    with closing(UserFunction("x", given, [mounted], beside=home)) as function:
        assert function.call([{"path": str(mounted / "weights.json")}]) == 3
        with pytest.raises(FunctionFailed, match="not allowed in the sandbox"):
            function.call([{"path": str(home / "helpers.py")}])


@pytest.mark.slow
def test_names_are_listed_of_the_named_package_alone(home: Path) -> None:
    (home / "own_package" / "mine.py").write_text(
        FUNCTION.format("import os", "return len(os.listdir(window[0]['path']))")
    )
    with closing(function_of(home, "own_package.mine")) as function:
        assert function.call([{"path": str(home / "own_package")}])
        assert function.call([{"path": str(home / "own_package" / "data")}])
        for path in (".", ".ssh", "docs", "notes", "library"):
            with pytest.raises(FunctionFailed, match="not allowed in the sandbox: access"):
                function.call([{"path": str(home / path)}])
    (home / "own_package" / "mine.py").write_text(
        STRATEGY.format("import os", f"os.listdir({str(home / 'own_package')!r}) and os.listdir({str(home)!r})")
    )
    with pytest.raises(RunFailed, match=f"not allowed in the sandbox: access to '{home}'"):
        run_strategy(home, BARS, "own_package.mine:Mine")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("body", "said"),
    [("raise LookupError(SUM)", "LookupError: 15"), ("open({key!r})", "not allowed in the sandbox: access to '{key}'")],
)
def test_a_pod_of_transforms_takes_functions_from_the_folder_of_its_yaml(home: Path, body: str, said: str) -> None:
    key = str(home / ".ssh" / "id_rsa")
    (home / "mine.py").write_text(f"{IMPORTS}\n{body.format(key=key)}\n")
    spec = {
        "source": {"synthetic": {"symbols": [{"symbol": "A/B", "price": 1}], "bars": 10}},
        "transforms": [{"name": "x", "function": {"module": "mine:mine"}}],
    }
    workload = TransformWorkload(PodSettings(kind="Replay", uid="x", spec=json.dumps(spec), files=home))
    workload.stop_requested.set()
    workload.run()
    assert said.format(key=key) in workload.report().message
