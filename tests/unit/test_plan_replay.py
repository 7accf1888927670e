"""The planned clock of a Replay: controls, shards, unpaced playback, followers, stalls, and late controls."""

from __future__ import annotations

import hmac
from dataclasses import replace
from hashlib import sha256
from typing import Any

import pytest

from planned import after, ended, job
from tapedeck_crds.clock import Anchor
from tapedeck_crds.parse import parse_resource
from tapedeck_crds.report import ReplayReport
from tapedeck_operator.plan import Observed, ObservedPod, Plan, Settings, plan

NOW = 1_700_000_000_000
T0 = 1_522_800_000_000
LAST = T0 + 660_000
SETTINGS = Settings(images={"replay": "i/replay:1"}, operator_key=b"secret", results_key=b"results")
STORE = {"store": {"exchange": "coinbase", "symbols": ["BTC/USD"], "interval": "1m"}}


def resource(spec: dict[str, Any], *, name: str = "x", uid: str = "u-1") -> Any:
    metadata = {"name": name, "uid": uid, "generation": 1}
    return parse_resource({"apiVersion": "tapedeck.dev/v1alpha1", "kind": "Replay", "metadata": metadata, "spec": spec})


def pod(index: int, **report: Any) -> ObservedPod:
    facts: dict[str, Any] = {
        "state": "running",
        "range_from": T0,
        "range_to": T0 + 600_000,
        "last_event": LAST,
        "rows": 5,
    }
    return ObservedPod(f"p{index}", index, "Running", f"http://127.0.0.1:{index}", ReplayReport(**facts | report))


def anchor_of(planned: Plan) -> Anchor:
    return Anchor.model_validate(planned.status["anchor"])


def test_a_replay_gets_its_first_anchor_once_its_range_is_known() -> None:
    replay = resource({"source": STORE, "speed": 60})
    made = job(plan(replay, Observed(), NOW, SETTINGS))
    unknown = ObservedPod("p", 0, "Running", "http://127.0.0.1:1", ReplayReport(state="starting"))
    assert plan(replay, Observed(made, (unknown,)), NOW, SETTINGS).control_requests == ()
    planned = plan(replay, Observed(made, (pod(0, state="waiting"),)), NOW, SETTINGS)
    (push,) = planned.control_requests
    anchor = Anchor.model_validate_json(push.body)
    assert (anchor.number, anchor.v0, anchor.w0, anchor.speed, anchor.epoch) == (1, T0, NOW + 250, 60, 0)
    assert planned.status["anchor"]["number"] == 1
    key = hmac.new(b"secret", b"u-1", sha256).hexdigest()
    assert push.signature == hmac.new(key.encode(), push.body, sha256).hexdigest()
    assert push.url == "http://127.0.0.1:0/control"


def following(planned: Plan, **report: Any) -> ObservedPod:
    return pod(0, anchor=anchor_of(planned), **report)


def test_changed_speed_keeps_virtual_time_continuous() -> None:
    replay = resource({"source": STORE, "speed": 60})
    made = job(plan(replay, Observed(), NOW, SETTINGS))
    first = plan(replay, Observed(made, (pod(0, state="waiting"),)), NOW, SETTINGS)
    steady_pod = following(first)
    steady = plan(after(replay, first), Observed(made, (steady_pod,)), NOW + 5_000, SETTINGS)
    assert steady.control_requests == ()
    faster = plan(after(replay, steady, speed=120.0), Observed(made, (steady_pod,)), NOW + 5_000, SETTINGS)
    anchor = anchor_of(faster)
    assert (anchor.number, anchor.speed, anchor.epoch) == (2, 120, 0)
    # virtual time at the switch, 5 s after the first anchor took effect: 5 s x 60
    assert (anchor.w0, anchor.v0) == (NOW + 5_250, T0 + 300_000)
    assert faster.status["observedGeneration"] == 1
    caught_up = plan(after(replay, faster, speed=120.0), Observed(made, (following(faster),)), NOW + 5_300, SETTINGS)
    assert caught_up.status["observedGeneration"] == 2
    assert caught_up.status["speed"] == "120x"


def test_resume_continues_from_the_paused_position() -> None:
    replay = resource({"source": STORE, "speed": 10})
    made = job(plan(replay, Observed(), NOW, SETTINGS))
    first = plan(replay, Observed(made, (pod(0, state="waiting"),)), NOW, SETTINGS)
    paused = plan(after(replay, first, paused=True), Observed(made, (following(first),)), NOW + 1_000, SETTINGS)
    held = anchor_of(paused)
    assert held.paused
    assert held.at(NOW + 999_999) == T0 + 10_000
    resumed = plan(after(replay, paused, paused=False), Observed(made, (following(paused),)), NOW + 60_000, SETTINGS)
    assert anchor_of(resumed).v0 == T0 + 10_000


def test_a_seek_takes_effect_once_per_id() -> None:
    replay = resource({"source": STORE})
    made = job(plan(replay, Observed(), NOW, SETTINGS))
    first = plan(replay, Observed(made, (pod(0, state="waiting"),)), NOW, SETTINGS)
    seek = {"to": "2018-04-04T00:05:00Z", "id": "a"}
    jumped = plan(after(replay, first, seek=seek), Observed(made, (following(first),)), NOW, SETTINGS)
    anchor = anchor_of(jumped)
    assert (anchor.v0, anchor.epoch, anchor.seek_id) == (T0 + 300_000, 1, "a")
    again = plan(after(replay, jumped, seek=seek), Observed(made, (following(jumped),)), NOW + 9_000, SETTINGS)
    assert anchor_of(again) == anchor


def test_an_anchor_survives_a_lost_status() -> None:
    replay = resource({"source": STORE})
    round_: dict[str, Any] = {"loop_from": T0, "loop_to": T0 + 660_000}
    known = Anchor(number=7, v0=T0, w0=NOW - 1000, speed=1.0, epoch=2, **round_)
    planned = plan(replay, Observed(None, (pod(0, anchor=known),)), NOW, SETTINGS)
    assert anchor_of(planned) == known
    assert planned.control_requests == ()


def test_all_shards_must_report_and_get_the_same_anchor() -> None:
    replay = resource({"source": STORE, "shards": 2})
    made = job(plan(replay, Observed(), NOW, SETTINGS))
    assert (made["spec"]["completions"], made["spec"]["parallelism"]) == (2, 2)
    waiting = {"state": "waiting"}
    assert plan(replay, Observed(made, (pod(0, **waiting),)), NOW, SETTINGS).control_requests == ()
    both = plan(replay, Observed(made, (pod(0, **waiting), pod(1, **waiting))), NOW, SETTINGS)
    assert [push.url for push in both.control_requests] == ["http://127.0.0.1:0/control", "http://127.0.0.1:1/control"]
    assert both.control_requests[0].body == both.control_requests[1].body
    anchor = anchor_of(both)
    pods = (
        pod(0, anchor=anchor, published=3, passed=3, position=T0 + 9),
        pod(1, anchor=anchor, published=4, position=T0 + 7),
    )
    later = plan(after(replay, both), Observed(made, pods), NOW + 900, SETTINGS).status
    assert (later["published"], later["progress"], later["position"]) == (7, "3/10", "2018-04-04T00:00:00.007Z")


def test_unpaced_shards_stop_and_resume_from_the_foremost() -> None:
    replay = resource({"source": STORE, "shards": 2, "unpaced": True})
    made = job(plan(replay, Observed(), NOW, SETTINGS))
    first = plan(replay, Observed(made, (pod(0), pod(1))), NOW, SETTINGS)
    pods = tuple(pod(i, anchor=anchor_of(first), position=T0 + 5 + i) for i in (0, 1))
    slower = after(replay, first, unpaced=False, speed=60.0)
    stop = plan(slower, Observed(made, pods), NOW + 1_000, SETTINGS)
    held = anchor_of(stop)
    assert (held.settling, held.paused, stop.status["observedGeneration"]) == (True, True, 0)  # not in effect yet
    again = plan(after(slower, stop), Observed(made, pods), NOW + 1_050, SETTINGS)
    assert anchor_of(again) == held  # until both have stopped
    stopped = tuple(pod(i, anchor=held, position=T0 + 100 + i) for i in (0, 1))
    on = anchor_of(plan(after(slower, stop), Observed(made, stopped), NOW + 1_100, SETTINGS))
    assert (on.v0, on.speed, on.settling, on.number) == (T0 + 101, 60.0, False, 3)


def test_a_follower_uses_its_leaders_anchor_and_a_stall_moves_both() -> None:
    lead = resource({"source": STORE, "speed": 60, "clock": {"catchUp": "skip"}}, name="lead", uid="u-9")
    made = job(plan(lead, Observed(), NOW, SETTINGS))
    first = plan(lead, Observed(made, (pod(0),)), NOW, SETTINGS)
    lead = after(lead, first)
    follower = resource({"source": STORE, "clock": {"follow": "lead"}})
    assert plan(follower, Observed(), NOW, SETTINGS).status["conditions"][0]["reason"] == "WaitingForLeader"
    mine = job(plan(follower, Observed(replay=lead), NOW, SETTINGS))
    stalled = pod(0, anchor=anchor_of(first), stalled=True, position=T0 + 50)
    led = plan(follower, Observed(mine, (stalled,), replay=lead), NOW + 5_000, SETTINGS)
    assert anchor_of(led) == anchor_of(first)
    assert led.status["stalled"] is True
    fine = pod(0, anchor=anchor_of(first), position=T0 + 90)
    on = plan(lead, Observed(made, (fine,), followers=(after(follower, led),)), NOW + 5_000, SETTINGS)
    assert (anchor_of(on).number, anchor_of(on).v0, anchor_of(on).speed) == (2, T0 + 50, 60.0)
    chain = resource({"source": STORE, "clock": {"follow": "x"}}, name="y", uid="u-3")
    assert plan(chain, Observed(replay=follower), NOW, SETTINGS).status["conditions"][0]["reason"] == "InvalidLeader"


def test_a_late_control_moves_all_shards_to_the_furthest_and_the_status_says_it() -> None:
    replay = resource({"source": STORE, "shards": 2, "speed": 60})
    made = job(plan(replay, Observed(), NOW, SETTINGS))
    first = plan(replay, Observed(made, (pod(0), pod(1))), NOW, SETTINGS)
    following = tuple(pod(i, anchor=anchor_of(first)) for i in (0, 1))
    paused = plan(after(replay, first, paused=True), Observed(made, following), NOW + 1_000, SETTINGS)
    held = anchor_of(paused)  # one second, and 250 ms until it takes effect, less the first anchor's 250 ms
    assert held.v0 == T0 + 60_000
    replay = after(after(replay, first, paused=True), paused)
    late = (pod(0, anchor=held, position=T0 + 60_000), pod(1, anchor=held, position=T0 + 90_500, ahead=True))
    moved = plan(replay, Observed(made, late), NOW + 2_000, SETTINGS)
    on = anchor_of(moved)
    assert (on.number, on.v0, on.speed, on.moved_ms) == (3, T0 + 90_500, 0.0, 30_500)
    assert [request.pod for request in moved.control_requests] == ["p0", "p1"]
    said = "a control reached a pod after its time: all pods continue from 2018-04-04T00:01:30.500Z, 30.5 s further"
    assert [(event.type, event.reason, event.message) for event in moved.events] == [("Warning", "LateControl", said)]
    replay = after(replay, moved)
    there = tuple(pod(i, anchor=on, position=T0 + 90_500) for i in (0, 1))
    settled = plan(replay, Observed(made, there), NOW + 3_000, SETTINGS)
    assert (anchor_of(settled), settled.events, settled.status["message"]) == (on, (), said)
    assert settled.status["observedGeneration"] == 2
    resumed = plan(after(replay, settled, paused=False), Observed(made, there), NOW + 9_000, SETTINGS)
    assert (anchor_of(resumed).v0, anchor_of(resumed).moved_ms) == (T0 + 90_500, 0)
    assert "message" not in resumed.status


def test_a_late_control_that_virtual_time_overtakes_by_itself_changes_nothing() -> None:
    replay = resource({"source": STORE, "shards": 2, "speed": 60})
    made = job(plan(replay, Observed(), NOW, SETTINGS))
    first = plan(replay, Observed(made, (pod(0), pod(1))), NOW, SETTINGS)
    pods = (pod(0, anchor=anchor_of(first)), pod(1, anchor=anchor_of(first), ahead=True, position=T0 + 60_000))
    assert anchor_of(plan(after(replay, first), Observed(made, pods), NOW + 1_000, SETTINGS)) == anchor_of(first)
    assert anchor_of(plan(after(replay, first), Observed(made, pods), NOW + 900, SETTINGS)).v0 == T0 + 60_000


def test_a_control_that_is_late_for_a_follower_moves_the_leader_too() -> None:
    lead = resource({"source": STORE, "paused": True}, name="lead", uid="u-9")
    made = job(plan(lead, Observed(), NOW, SETTINGS))
    lead = after(lead, first := plan(lead, Observed(made, (pod(0),)), NOW, SETTINGS))
    follower = resource({"source": STORE, "shards": 2, "clock": {"follow": "lead"}})
    mine = job(plan(follower, Observed(replay=lead), NOW, SETTINGS))
    anchor = anchor_of(first)
    late = (pod(0, anchor=anchor, position=T0), pod(1, anchor=anchor, ahead=True, position=T0 + 75))
    led = plan(follower, Observed(mine, late, replay=lead), NOW + 5_000, SETTINGS)
    assert led.status["ahead"] == {"loopRound": 0, "virtualMs": T0 + 75}
    fine = pod(0, anchor=anchor, position=T0)
    on = plan(lead, Observed(made, (fine,), followers=(after(follower, led),)), NOW + 5_000, SETTINGS)
    assert (anchor_of(on).number, anchor_of(on).v0, anchor_of(on).moved_ms) == (2, T0 + 75, 75)


def test_a_control_that_does_not_arrive_is_told() -> None:
    replay = resource({"source": STORE, "shards": 2})
    made = job(plan(replay, Observed(), NOW, SETTINGS))
    first = plan(replay, Observed(made, (pod(0), pod(1))), NOW, SETTINGS)
    pods = (pod(0, anchor=anchor_of(first)), pod(1))
    assert "message" not in plan(after(replay, first), Observed(made, pods), NOW + 2_249, SETTINGS).status
    later = plan(after(replay, first), Observed(made, pods), NOW + 2_250, SETTINGS)
    assert later.status["message"] == "the last control has not reached shard 1 yet: it is sent again"
    assert [request.pod for request in later.control_requests] == ["p1"]


@pytest.mark.parametrize(
    ("to", "clamped", "reported"),
    [("2019-01-01T00:00:00Z", LAST, "2018-04-04T00:11:00Z"), ("2017-01-01T00:00:00Z", T0, "2018-04-04T00:00:00Z")],
    ids=["past the end", "before the start"],
)
def test_a_seek_outside_the_range_is_clamped_and_reported(to: str, clamped: int, reported: str) -> None:
    replay = resource({"source": STORE})
    made = job(plan(replay, Observed(), NOW, SETTINGS))
    first = plan(replay, Observed(made, (pod(0),)), NOW, SETTINGS)
    seeking = after(replay, first, seek={"to": to, "id": "a"})
    planned = plan(seeking, Observed(made, (pod(0, anchor=anchor_of(first)),)), NOW + 9, SETTINGS)
    assert (anchor_of(planned).v0, anchor_of(planned).seek_to) == (clamped, clamped)
    assert planned.status["message"] == f"seek: got {to}, which is outside the range; went to {reported}"


def test_a_control_is_observed_once_a_pod_follows_it_and_not_during_a_restart() -> None:
    replay = resource({"source": STORE})
    made = job(plan(replay, Observed(), NOW, SETTINGS))
    first = plan(replay, Observed(made, (pod(0),)), NOW, SETTINGS)
    alive = pod(0, anchor=anchor_of(first))
    steady = plan(after(replay, first), Observed(made, (alive,)), NOW + 500, SETTINGS)
    faster = after(replay, steady, speed=9.0)
    dead = replace(alive, phase="Failed", exit_code=137, url=None)
    gone = plan(faster, Observed(made, (dead,)), NOW + 1_000, SETTINGS)
    assert (gone.status["phase"], steady.status["observedGeneration"], gone.status["observedGeneration"]) == (
        "Pending", 1, 1
    )  # fmt: skip
    assert {condition["observedGeneration"] for condition in gone.status["conditions"]} == {1}
    successor = replace(pod(0, anchor=anchor_of(first), state="waiting"), name="p9")
    back = plan(after(faster, gone), Observed(made, (dead, successor)), NOW + 2_000, SETTINGS)
    assert (anchor_of(back).speed, back.status["observedGeneration"]) == (9.0, 1)
    follows = replace(pod(0, anchor=anchor_of(back)), name="p9")
    on = plan(after(faster, back), Observed(made, (dead, follows)), NOW + 2_500, SETTINGS)
    assert on.status["observedGeneration"] == 2


def test_a_control_after_the_end_is_acknowledged_in_the_condition_finished() -> None:
    replay = resource({"source": STORE})
    made = job(plan(replay, Observed(), NOW, SETTINGS))
    over = plan(replay, Observed(ended(made, "Complete"), (replace(pod(0), phase="Succeeded"),)), NOW, SETTINGS)
    late = plan(after(replay, over, speed=9.0), Observed(), NOW + 1, SETTINGS)
    finished = next(c for c in late.status["conditions"] if c["type"] == "Finished")
    assert (finished["status"], finished["observedGeneration"], late.status["observedGeneration"]) == ("True", 2, 2)
    assert "changes nothing" in finished["message"]
    assert (late.apply, late.control_requests) == ((), ())
