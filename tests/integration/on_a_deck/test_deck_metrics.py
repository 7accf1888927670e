"""What a running deck tells of itself: metrics as the page lists them, a Prometheus, `tapedeck top`, and logs."""

from __future__ import annotations

import json
import os
from base64 import b64decode
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import unquote, urlsplit

import httpx
import pytest
from typer.testing import CliRunner

from charts.dashboards import as_promql, expressions
from charts.promql import metrics_of
from decks.process import Deck, apply, eventually, reaches, running_deck
from metrics_page.exposed import documented, exposed
from metrics_page.sections import BACKTEST, GATEWAY, RECORDER, REPLAY, RESOURCES, TRANSFORM
from pods.replay import insert_minutes
from stores import debian
from stores.questdb import StoreNotInstallable
from tapedeck_crds.json import Json
from tapedeck_deck.cli.app import app
from tapedeck_deck.embedded.metrics_server import pod_targets

pytestmark = pytest.mark.slow
SYMBOL = "BTC/USD"
WITHOUT_ROWS = {"replay: Transforms: delay"}  # of the transforms of Feeds: this deck has one of a Replay
SPEED = 60.0
SECTIONS = {"replay": REPLAY, "transform": TRANSFORM, "backtest": BACKTEST, "recorder": RECORDER, "gateway": GATEWAY}


@pytest.fixture(scope="module")
def monitored(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deck]:
    """A deck with a Prometheus, a Replay with a transform, and a Backtest on it, all at work."""
    try:
        program = debian.unpacked("prometheus") / "usr" / "bin"
    except StoreNotInstallable as reason:
        pytest.skip(f"no Prometheus: {reason}")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", f"{program}:{os.environ['PATH']}")
        with running_deck(tmp_path_factory.mktemp("metrics") / "home", metrics=True) as running:
            home, _, objects = running
            insert_minutes((home.migrate / "store_dsn").read_text().strip(), "x", [SYMBOL], 600)
            tape = {
                "source": {"store": {"exchange": "x", "symbols": [SYMBOL]}},
                "speed": SPEED,
                "transforms": [{"name": "mean", "sma": {"over": 3}}],
            }
            apply(objects, "Replay", "tape", tape)
            strategy = {"builtin": "sma-cross", "params": {"fast": 2, "slow": 3}}
            apply(objects, "Backtest", "trader", {"strategy": strategy, "data": {"replay": {"name": "tape"}}})
            files = {"exchange": "y", "sets": [{"symbol": "A/B", "path": "none.csv"}]}
            apply(objects, "Feed", "lost", {"source": {"files": files}})
            reaches(objects, "Backtest", "trader", "Running")
            reaches(objects, "Feed", "lost", "Failed")
            eventually(lambda: set(SECTIONS) <= {each["labels"]["job"] for each in targets(running)})
            yield running


def targets(running: Deck) -> list[Json]:
    return pod_targets(running[2].list("Pod"))


def test_each_pod_exposes_what_the_page_lists(monitored: Deck) -> None:
    for target in targets(monitored):
        section = SECTIONS[target["labels"]["job"]]
        text = httpx.get(f"http://{target['targets'][0]}/metrics", timeout=30, trust_env=False).text
        assert exposed(text) == documented(section), target
        assert "_created" not in text


def test_the_prometheus_finds_every_pod_and_names_its_resource(monitored: Deck) -> None:
    prometheus = httpx.Client(base_url=monitored[1]["prometheus"], timeout=30, trust_env=False)

    def query(expression: str) -> list[Json]:
        found: list[Json] = prometheus.get("/api/v1/query", params={"query": expression}).json()["data"]["result"]
        return found

    jobs = {*SECTIONS, "operator"}
    eventually(lambda: {each["metric"]["job"] for each in query("up == 1")} >= jobs)
    eventually(lambda: query("up == 0") == [])  # a pod that has ended may have been found a moment before
    own = {"kind": "Replay", "namespace": "default", "name": "tape"}
    (published,) = query("rate(tapedeck_replay_records_total[1m])") or eventually_one(query)
    assert own.items() <= published["metric"].items()
    assert (published["metric"]["job"], published["metric"]["shard"]) == ("replay", "0")
    (transformed,) = query("tapedeck_transform_points_total")
    assert own.items() <= transformed["metric"].items()
    assert transformed["metric"]["job"] == "transform"
    (failed,) = query('tapedeck_resource_phase{phase="Failed"}')
    assert {"kind": "Feed", "namespace": "default", "name": "lost"}.items() <= failed["metric"].items()
    resources = exposed(prometheus_text(monitored))
    assert documented(RESOURCES) <= resources
    groups = prometheus.get("/api/v1/rules").json()["data"]["groups"]
    assert {rule["health"] for group in groups for rule in group["rules"]} <= {"ok", "unknown"}
    assert len(groups) >= 1
    prometheus.close()


def test_the_prometheus_answers_every_expression_of_the_dashboards(monitored: Deck) -> None:
    """Each is answered, and with rows where the deck has the series that it reads."""
    panels = {each.place: each.text for each in expressions("promql")}
    with httpx.Client(base_url=monitored[1]["prometheus"], timeout=30, trust_env=False) as prometheus:

        def empty() -> set[str]:
            known = set(prometheus.get("/api/v1/label/__name__/values").json()["data"])
            rows = {place: _rows(prometheus, as_promql(text)) for place, text in panels.items()}
            return {place for place in panels if not rows[place] and metrics_of(panels[place]) <= known}

        left: set[str] = set()

        def as_expected() -> bool:
            nonlocal left
            left = empty()
            return left == WITHOUT_ROWS

        with suppress(AssertionError):  # a rate needs two scrapes
            eventually(as_expected)
        assert left == WITHOUT_ROWS


def _rows(prometheus: httpx.Client, expression: str) -> list[Json]:
    answer = prometheus.get("/api/v1/query", params={"query": expression}).json()
    assert answer["status"] == "success", (expression, answer)
    rows: list[Json] = answer["data"]["result"]
    return rows


def eventually_one(query: object) -> list[Json]:
    """The rate of the Replay, which needs two scrapes."""
    assert callable(query)
    eventually(lambda: len(query("rate(tapedeck_replay_records_total[1m])")) == 1, 30)
    found: list[Json] = query("rate(tapedeck_replay_records_total[1m])")
    return found


def prometheus_text(running: Deck) -> str:
    """What the deck's own process exposes, as its Prometheus finds it."""
    configuration = json.loads((running[0].prometheus / "prometheus.yml").read_text())
    url = configuration["scrape_configs"][0]["http_sd_configs"][0]["url"]
    own = next(
        each for each in httpx.get(url, timeout=30, trust_env=False).json() if each["labels"]["job"] == "operator"
    )
    return httpx.get(f"http://{own['targets'][0]}/metrics", timeout=30, trust_env=False).text


def test_top_shows_what_runs(monitored: Deck) -> None:
    home, _, objects = monitored

    def top() -> tuple[Json, Json]:
        """What it shows, and of that the Replay."""
        done = CliRunner().invoke(app, ["top", "--once", "-o", "json", "--home", str(home.root)])
        assert done.exit_code == 0, done.output
        shown = json.loads(done.stdout)
        return shown, next(each for each in shown["resources"] if each["name"] == "tape")

    def in_its_speed() -> tuple[Json, Json] | None:
        """A pod that stood still for a moment catches up."""
        shown, tape = top()
        return (shown, tape) if 0.2 * SPEED < (tape["speed"] or 0) < 3 * SPEED else None

    shown, tape = eventually(in_its_speed, what="the speed of the Replay")
    assert (tape["kind"], tape["phase"], tape["wanted_speed"]) == ("Replay", "Running", SPEED)
    assert tape["per_second"] is not None
    assert {each["phase"] for each in shown["resources"] if each["name"] == "lost"} == {"Failed"}
    processes = {each["name"]: each for each in shown["processes"]}
    pods = {pod["metadata"]["name"] for pod in objects.list("Pod") if pod["status"]["phase"] == "Running"}
    assert {"deck", "broker", "database", "prometheus", *pods} <= processes.keys()
    assert all(each["memory_bytes"] > 1_000_000 for each in processes.values())
    assert processes["broker"]["cpu_ratio"] is not None
    assert {"kafka", "postgres", "prometheus"} <= shown["disk"]["parts"].keys()
    assert set(shown["recorder"]["lag_records"]) >= {"market.bars", "backtest.results"}
    text = CliRunner().invoke(app, ["top", "--home", str(home.root)]).output
    assert "replay/tape" in text
    assert "\x1b" not in text


def test_the_status_says_what_is_unhealthy_and_what_to_do(monitored: Deck) -> None:
    home, facts, _ = monitored
    done = CliRunner().invoke(app, ["status", "-o", "json", "--home", str(home.root)])
    assert done.exit_code == 0, done.output
    shown = json.loads(done.stdout)
    assert shown["prometheus"] == facts["prometheus"]
    (lost,) = [each for each in shown["unhealthy"] if each["what"] == "feed/lost"]
    assert lost["problem"].startswith("Failed, ")
    assert "none.csv" in lost["problem"]
    assert lost["do"]
    text = CliRunner().invoke(app, ["status", "--home", str(home.root)]).output
    assert "unhealthy: feed/lost: " in text


def test_each_line_of_a_log_is_an_event_and_none_holds_a_secret(monitored: Deck) -> None:
    home, _, objects = monitored
    own = [path for path in home.logs.glob("*.log") if path.name != "prometheus.log"]
    for path in (*own, home.broker / "broker.log"):
        for line in whole_lines(path):
            fields = json.loads(line)
            assert {"event", "level", "timestamp", "workload"} <= fields.keys(), (path, line)
    of_tape = [path for path in own if path.name.startswith("replay-tape")]
    uid = objects.get("Replay", "default", "tape")["metadata"]["uid"]
    for line in (line for path in of_tape for line in whole_lines(path)):
        fields = json.loads(line)
        found = {name: fields[name] for name in ("kind", "namespace", "name", "uid")}
        assert found == {"kind": "Replay", "namespace": "default", "name": "tape", "uid": uid}
    assert of_tape
    logs = [Path(folder, name) for folder, _, names in os.walk(home.root) for name in names if name.endswith(".log")]
    text = "\n".join(path.read_text(errors="replace") for path in logs)
    for secret in secrets(monitored):
        assert secret not in text


def whole_lines(log: Path) -> list[str]:
    """The lines of a log that are written to their end."""
    return log.read_text().rpartition("\n")[0].splitlines()


def secrets(running: Deck) -> set[str]:
    """Every password, token and key of a deck."""
    home, _, objects = running
    values = [b64decode(text).decode() for each in objects.list("Secret") for text in each["data"].values()]
    files = [home.control_token_file, home.root / "operator-key", home.root / "results-key"]
    values += [path.read_text().strip() for path in (*files, *Path(home.migrate).glob("*_password"))]
    values += [(home.migrate / "store_dsn").read_text().strip()]
    passwords = {unquote(urlsplit(value).password or "") for value in values if "://" in value}
    random = {value for value in values if len(value) >= 20 and "/" not in value and "." not in value}
    found = passwords - {""} | random
    assert len(found) > 10
    return found
