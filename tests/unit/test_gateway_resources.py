"""Resources by the gateway's routes, from a request to a deck's objects, by the deck's socket."""

from __future__ import annotations

import asyncio
import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from anyio.to_thread import current_default_thread_limiter

from pods.socket_deck import (
    CONTROL,
    TYPES,
    URL,
    SocketDeck,
    long_home,
    manifest,
    serving_socket,
    socket_deck,
)
from tapedeck_crds.errors import Unavailable
from tapedeck_deck.embedded.state_dir import StateDir
from tapedeck_gateway.options import GatewayOptions
from tapedeck_gateway.resources import steps
from tapedeck_gateway.resources.activity import events_of
from tapedeck_gateway.resources.kubernetes_api import EVENTS_MAX, KubernetesApi

pytestmark = pytest.mark.slow


@pytest.fixture
def home(tmp_path: Path) -> StateDir:
    return long_home(tmp_path)


@pytest.fixture
def serving(home: StateDir) -> Iterator[StateDir]:
    with serving_socket(home):
        yield home


@pytest.fixture
def deck(serving: StateDir, tmp_path: Path) -> Iterator[SocketDeck]:
    with socket_deck(serving, tmp_path / "tokens") as deck:
        yield deck


@pytest.mark.parametrize("kind", TYPES)
def test_a_resource_is_created_read_changed_and_deleted(deck: SocketDeck, kind: str) -> None:
    plural = TYPES[kind]
    path = f"/api/v1/namespaces/desk/{plural}"
    tried = deck.owner.post(path, params={"dryRun": "true"}, json=manifest(kind))
    assert (tried.status_code, deck.objects.list(kind)) == (200, [])
    made = deck.owner.post(path, json=manifest(kind))
    assert made.status_code == 201
    (stored,) = deck.objects.list(kind)
    assert made.json() == deck.anyone.get(f"{path}/tape").json() == stored
    assert tried.json()["spec"] == stored["spec"]
    assert deck.anyone.get(f"/api/v1/{plural}").json() == {plural: [stored], "next": None}
    assert deck.anyone.get(f"/api/v1/{plural}", params={"namespace": "other"}).json() == {plural: [], "next": None}
    assert deck.owner.post(path, json=manifest(kind)).status_code == 409

    merge = {"content-type": "application/merge-patch+json"}
    patch = json.dumps({"metadata": {"labels": {"a": "b"}}})
    assert deck.owner.patch(f"{path}/tape", content=patch, headers=merge, params={"dryRun": "1"}).status_code == 200
    assert deck.objects.list(kind) == [stored]
    assert deck.owner.patch(f"{path}/tape", content=patch, headers=merge).json()["metadata"]["labels"] == {"a": "b"}
    assert deck.owner.delete(f"{path}/tape", params={"dryRun": "1"}).status_code == 204
    assert len(deck.objects.list(kind)) == 1
    assert deck.owner.delete(f"{path}/tape").status_code == 204
    assert deck.objects.list(kind) == []
    for method in ("GET", "DELETE"):
        assert deck.owner.request(method, f"{path}/tape").status_code == 404


def test_yaml_is_accepted_and_a_wrong_field_is_named(deck: SocketDeck) -> None:
    text = json.dumps(manifest(speed=60))  # JSON is YAML
    yaml = {"content-type": "application/yaml"}
    path = "/api/v1/namespaces/default/replays"
    assert deck.owner.post(path, content=text, headers=yaml).json()["spec"]["speed"] == 60
    refused = deck.owner.post(path, content=text.replace("60", "0.01"), headers=yaml)
    assert refused.status_code == 400
    assert "spec.speed: got 0.01, expected greater than or equal to 0.1" in refused.text
    assert deck.owner.post(path, content=text, headers={"content-type": "text/plain"}).status_code == 400
    merge = {"content-type": "application/merge-patch+json"}
    for patch in ({"spec": {"shards": 2}}, {"spec": {"speed": 0}}):  # an immutable field, and one out of range
        refused = deck.owner.patch(f"{path}/tape", content=json.dumps(patch), headers=merge)
        assert refused.status_code == 400
        assert next(iter(patch["spec"])) in refused.text


def test_controls_patch_the_replay(deck: SocketDeck) -> None:
    deck.objects.apply(manifest())
    path = "/api/v1/namespaces/default/replays/tape/controls"
    assert deck.owner.post(path, json={"paused": True, "speed": 600}).json() == {"generation": 2, "status": {}}
    deck.owner.post(path, json={"seek": 1_522_843_200_000, "loop": 3})
    first = deck.objects.get("Replay", "default", "tape")["spec"]
    deck.owner.post(path, json={"seek": "2018-04-04T12:00:00", "loop": None, "step": 2})
    second = deck.objects.get("Replay", "default", "tape")["spec"]
    assert (first["paused"], first["speed"], first["loop"]) == (True, 600, 3)
    assert first["seek"]["to"] == second["seek"]["to"] == "2018-04-04T12:00:00Z"
    assert first["seek"]["id"] != second["seek"]["id"]
    assert "loop" not in second
    assert second["step"]["intervals"] == 2
    for wrong in ({}, {"speed": 0}, {"seek": "noon"}):
        assert deck.owner.post(path, json=wrong).status_code == 400
    assert deck.objects.get("Replay", "default", "tape")["spec"] == second
    assert deck.owner.post(path.replace("tape", "none"), json={"paused": True}).status_code == 404
    deck.objects.apply(manifest(name="follower", clock={"follow": "tape"}))
    refused = deck.owner.post(path.replace("tape", "follower"), json={"paused": True})
    assert refused.status_code == 400
    assert "clock.follow" in refused.text


def test_a_step_waits_for_the_one_before(deck: SocketDeck, monkeypatch: pytest.MonkeyPatch) -> None:
    deck.objects.apply(manifest())
    path = "/api/v1/namespaces/default/replays/tape/controls"
    assert deck.owner.post(path, json={"step": 10}).status_code == 200
    first = deck.objects.get("Replay", "default", "tape")["spec"]["step"]
    monkeypatch.setattr(steps, "WAIT_SECONDS", 0.2)
    refused = deck.owner.post(path, json={"step": 20})
    assert (refused.status_code, refused.json()["reason"]) == (409, "StepPending")
    assert "that of 10 intervals" in refused.json()["detail"]
    assert deck.objects.get("Replay", "default", "tape")["spec"]["step"] == first
    assert deck.owner.post(path, json={"speed": 60}).status_code == 200  # another control is no step
    deck.objects.set_status("Replay", "default", "tape", {"phase": "Running", "anchor": {"stepId": first["id"]}})
    assert deck.owner.post(path, json={"step": 20}).status_code == 200
    assert deck.objects.get("Replay", "default", "tape")["spec"]["step"]["intervals"] == 20
    deck.objects.set_status("Replay", "default", "tape", {"phase": "Complete"})
    assert deck.owner.post(path, json={"step": 30}).status_code == 200


def test_a_step_that_waits_holds_no_thread(deck: SocketDeck, monkeypatch: pytest.MonkeyPatch) -> None:
    deck.objects.apply(manifest())
    path = "/api/v1/namespaces/default/replays/tape"
    assert deck.owner.post(f"{path}/controls", json={"step": 10}).status_code == 200
    first = deck.objects.get("Replay", "default", "tape")["spec"]["step"]
    monkeypatch.setattr(steps, "WAIT_SECONDS", 10.0)

    async def with_one_thread() -> tuple[int, bool, int]:
        current_default_thread_limiter().total_tokens = 1
        headers = {"authorization": f"Bearer {CONTROL}"}
        transport = httpx.ASGITransport(deck.owner.app)
        async with httpx.AsyncClient(transport=transport, base_url=URL, headers=headers) as client:
            step = asyncio.create_task(client.post(f"{path}/controls", json={"step": 20}))
            await asyncio.sleep(0.2)
            answer, waited = await client.get(path), not step.done()
            deck.objects.set_status("Replay", "default", "tape", {"anchor": {"stepId": first["id"]}})
            return answer.status_code, waited, (await step).status_code

    assert asyncio.run(with_one_thread()) == (200, True, 200)
    assert deck.objects.get("Replay", "default", "tape")["spec"]["step"]["intervals"] == 20


def test_a_patch_may_name_the_version_that_it_is_based_on(deck: SocketDeck) -> None:
    first, _ = deck.objects.apply(manifest())
    headers, path = {"content-type": "application/merge-patch+json"}, "/api/v1/namespaces/default/replays/tape"
    patch = json.dumps({"metadata": {"resourceVersion": first["metadata"]["resourceVersion"]}, "spec": {"speed": 60}})
    assert deck.owner.patch(path, content=patch, headers=headers).status_code == 200
    assert deck.owner.patch(path, content=patch, headers=headers).status_code == 409
    assert deck.objects.get("Replay", "default", "tape")["spec"]["speed"] == 60


def changes(namespace: str) -> list[tuple[str, str, dict[str, Any]]]:
    """A request for each change that the API offers."""
    base = f"/api/v1/namespaces/{namespace}"
    merge = {"content": b'{"spec": {"speed": 2}}', "headers": {"content-type": "application/merge-patch+json"}}
    return [
        ("POST", f"{base}/replays", {"json": manifest()}),
        ("PATCH", f"{base}/replays/tape", merge),
        ("POST", f"{base}/replays/tape/controls", {"json": {"paused": True}}),
        ("POST", f"{base}/strategies", {"json": {"name": "mine", "source": "x = 1"}}),
        ("DELETE", f"{base}/strategies/mine", {}),
        ("DELETE", f"{base}/replays/tape", {}),
    ]


def test_only_a_token_of_the_namespace_changes_something(deck: SocketDeck) -> None:
    before = deck.objects.version
    for method, path, more in changes("other"):
        assert deck.anyone.request(method, path, **more).status_code == 401
        cookie = {**more.get("headers", {}), "cookie": f"token={CONTROL}; authorization=Bearer {CONTROL}"}
        assert deck.anyone.request(method, path, **{**more, "headers": cookie}).status_code == 401
        refused = deck.desk.request(method, path, **more)
        assert refused.status_code == 403
        assert "expected one with the right to control in 'other'" in refused.text
        headers = {**more.get("headers", {}), "origin": "http://evil.example"}
        assert deck.owner.request(method, path, **{**more, "headers": headers}).status_code == 403
    assert deck.objects.version == before
    for client, namespace in ((deck.desk, "desk"), (deck.owner, "other")):
        answers = [client.request(method, path, **more).status_code for method, path, more in changes(namespace)]
        assert answers == [201, 200, 200, 201, 204, 204]


def test_a_gateway_shows_its_own_namespaces_alone(serving: StateDir, tmp_path: Path) -> None:
    (tmp_path / "t").mkdir()
    (tmp_path / "t/owner.control").write_text(CONTROL)
    deck = SocketDeck(serving, tmp_path / "t", GatewayOptions(namespaces=["a", "b"]))
    for namespace, count in (("a", 3), ("b", 2), ("c", 1)):
        for number in range(count):
            document = manifest(name=f"r{number}")
            deck.objects.apply({**document, "metadata": document["metadata"] | {"namespace": namespace}})
    seen, cursor = [], ""
    for _ in range(3):
        page = deck.anyone.get("/api/v1/replays", params={"limit": 2, "cursor": cursor}).json()
        seen += [f"{each['metadata']['namespace']}/{each['metadata']['name']}" for each in page["replays"]]
        cursor = page["next"] or ""
    assert (seen, cursor) == (["a/r0", "a/r1", "a/r2", "b/r0", "b/r1"], "")
    for client, method, path in (
        (deck.anyone, "GET", "/api/v1/replays?namespace=c"),
        (deck.anyone, "GET", "/api/v1/namespaces/c/replays/r0"),
        (deck.owner, "DELETE", "/api/v1/namespaces/c/replays/r0"),
    ):
        assert client.request(method, path).status_code == 403
    assert deck.anyone.get("/api/v1/replays?cursor=bm9uZQ").status_code == 400
    deck.close()


def test_events_and_the_ends_of_logs(deck: SocketDeck, tmp_path: Path) -> None:
    uid = deck.objects.apply(manifest())[0]["metadata"]["uid"]
    about = {"uid": uid, "kind": "Replay", "name": "tape", "reason": "Paused"}
    for second in (1, 2, 3):
        deck.objects.add_event({**about, "message": "it is paused", "at": f"2026-01-01T00:00:0{second}Z"})
    deck.objects.add_event({**about, "uid": "another", "message": "no"})
    base = "/api/v1/namespaces/default/replays/tape"
    begin = 1_767_225_600_000
    assert deck.anyone.get(f"{base}/events").json() == {
        "events": [
            {
                "ts": begin + 3_000,
                "first": begin + 1_000,
                "count": 3,
                "type": "Normal",
                "reason": "Paused",
                "message": "it is paused",
            }
        ],
        "next": None,
    }
    log = tmp_path / "pod.log"
    log.write_text("".join(f"line {number}\n" for number in range(50_000)) + "\x1b[31mlast\n")
    other = deck.objects.apply(manifest(name="other"))[0]["metadata"]["uid"]
    for name, owner in (("tape-0", uid), ("other-0", other)):
        metadata = {
            "name": name,
            "labels": {"tapedeck.dev/uid": owner},
            "ownerReferences": [{"kind": "Replay", "name": name.removesuffix("-0"), "uid": owner}],
        }
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {}}
        deck.objects.apply(pod)
        deck.objects.set_status("Pod", "default", name, {"phase": "Running", "log": str(log)})
    (found,) = deck.anyone.get(f"{base}/log", params={"tail": 2}).json()["pods"]
    assert found == {"pod": "tape-0", "phase": "Running", "lines": ["line 49999", "\\x1b[31mlast"]}
    assert len(deck.anyone.get(f"{base}/log", params={"tail": 5_000}).json()["pods"][0]["lines"]) == 5_000


def test_events_are_in_pages_from_the_newest_back(deck: SocketDeck) -> None:
    uid = deck.objects.apply(manifest())[0]["metadata"]["uid"]
    about = {"uid": uid, "kind": "Replay", "name": "tape", "reason": "Sought"}
    said = [f"to {number}" for number in range(250)]
    for number, message in enumerate(said):  # ten of a second
        at = f"2026-01-01T00:{number // 600:02}:{number // 10 % 60:02}Z"
        deck.objects.add_event({**about, "message": message, "at": at})
    path = "/api/v1/namespaces/default/replays/tape/events"
    whole = deck.anyone.get(path).json()
    assert ([event["message"] for event in whole["events"]], whole["next"]) == (said, None)
    pages: list[list[str]] = []
    cursor: str | None = ""
    while cursor is not None:
        answer = deck.anyone.get(path, params={"limit": 60, "cursor": cursor}).json()
        pages.append([event["message"] for event in answer["events"]])
        cursor = answer["next"]
    assert pages == [said[190:], said[130:190], said[70:130], said[10:70], said[:10]]


def test_all_events_are_read_from_an_api_server_that_pages_them_by_name() -> None:
    """As Kubernetes does: a page of the list has the first names, whatever their times."""
    events = [
        {
            "metadata": {"name": f"tape.{(number * 7_919) % 10_007:016x}", "creationTimestamp": "2026-01-01T00:00:00Z"},
            "eventTime": f"2026-01-01T{number // 3_600:02}:{number // 60 % 60:02}:{number % 60:02}Z",
            "note": str(number),
        }
        for number in range(1_300)
    ]
    by_name = sorted(events, key=lambda event: str(event["metadata"]))

    def answer(request: httpx.Request) -> httpx.Response:
        query = request.url.params
        begin, limit = int(query.get("continue", "0")), int(query["limit"])
        more = {"continue": str(begin + limit)} if begin + limit < len(by_name) else {}
        return httpx.Response(200, json={"metadata": more, "items": by_name[begin : begin + limit]})

    api = KubernetesApi(httpx.Client(base_url="http://server", transport=httpx.MockTransport(answer)))
    resource = {"metadata": {"namespace": "default", "uid": "u"}}
    newest, place = events_of(api, resource, None, 1_000)
    assert [event.message for event in newest] == [str(number) for number in range(300, 1_300)]
    earlier, end = events_of(api, resource, place, 1_000)
    assert [event.message for event in earlier] == [str(number) for number in range(300)]
    assert end is None
    by_name *= EVENTS_MAX // len(by_name) + 1
    with pytest.raises(Unavailable, match=r"events: got more than 20,000"):
        events_of(api, resource, None, 1_000)


def test_only_sources_of_strategies_are_replaced_and_deleted(deck: SocketDeck) -> None:
    path = "/api/v1/namespaces/default/strategies"
    for source in ("x = 1", "x = 2"):
        answer = deck.owner.post(path, json={"name": "mine", "source": source})
        assert (answer.status_code, answer.json()["key"]) == (201, "strategy.py")
        assert deck.objects.get("ConfigMap", "default", "mine")["data"] == {"strategy.py": source}
    other = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "other"}, "data": {"a": "b"}}
    deck.objects.apply(other)
    assert deck.owner.post(path, json={"name": "other", "source": "x"}).status_code == 409
    assert deck.owner.delete(f"{path}/other").status_code == 409
    assert deck.objects.get("ConfigMap", "default", "other")["data"] == {"a": "b"}
    assert deck.owner.delete(f"{path}/mine").status_code == 204
    assert deck.owner.delete(f"{path}/mine").status_code == 404


def test_another_users_process_is_refused(deck: SocketDeck, serving: StateDir, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel says whose process a peer is: here the deck takes itself for another user."""
    user = os.geteuid() + 1
    monkeypatch.setattr(os, "geteuid", lambda: user)
    assert deck.anyone.get("/api/v1/feeds").status_code == 403
    assert serving.gateway.stat().st_mode & 0o077 == 0


def test_a_deck_serves_no_other_path(serving: StateDir) -> None:
    def status(method: str, path: str) -> int:
        with socket.socket(socket.AF_UNIX) as peer:
            folder = os.open(serving.gateway, os.O_RDONLY)
            peer.connect(f"/proc/self/fd/{folder}/api.sock")
            os.close(folder)
            peer.sendall(f"{method} {path} HTTP/1.0\r\nhost: deck\r\ncontent-length: 0\r\n\r\n".encode())
            return int(peer.makefile("rb").readline().split()[1])

    assert status("GET", "/apis/tapedeck.dev/v1alpha1/replays") == 200
    for path in (
        "/api/v1/namespaces/default/secrets",
        "/api/v1/namespaces/default/secrets/tapedeck-connections",
        "/api/v1/namespaces/default/configmaps",
        "/apis/apps/v1/namespaces/default/deployments/gateway",
        "/api/v1/namespaces/default/pods/../secrets",
        "/",
    ):
        assert status("GET", path) in (404, 405), path
    assert status("DELETE", "/apis/tapedeck.dev/v1alpha1/namespaces/default/replays") == 405
    assert status("DELETE", "/api/v1/namespaces/default/pods/gateway") == 405
