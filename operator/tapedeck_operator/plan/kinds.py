"""What each kind of resource turns into."""

from __future__ import annotations

from dataclasses import replace

from tapedeck_crds import Backtest, Feed, Replay, Resource
from tapedeck_crds.base import StoreRange, format_ms
from tapedeck_crds.report import BacktestReport, FeedReport, ReplayReport, Report
from tapedeck_operator.plan import controls, names, pods
from tapedeck_operator.plan.drift import covers
from tapedeck_operator.plan.network import network_policy
from tapedeck_operator.plan.status import Verdict, as_json, compose, job_ended, judge_run, of_type, transitions
from tapedeck_operator.plan.types import Json, Observed, Patch, Plan, Settings

STARTING_MS = 30_000  # a pod that stays Pending is looked at again, because not all that ails it changes its object


def plan_feed(feed: Feed, observed: Observed, now_ms: int, settings: Settings) -> Plan:
    """A Feed of files: one Job that reads them."""
    report = of_type(_report(observed), FeedReport)
    verdict = judge_run(observed, feed.status)
    if report is not None:
        verdict = replace(
            verdict,
            facts={
                "bars": report.bars,
                "trades": report.trades,
                "duplicates": report.duplicates,
                "errors": report.errors,
                "progress": f"{report.done}/{report.total}",
            },
        )
    return _run_plan(feed, observed, verdict, now_ms, settings, _children(feed, observed, settings))


def plan_replay(replay: Replay, observed: Observed, now_ms: int, settings: Settings) -> Plan:
    """A Replay: one Job, and the anchor of its clock."""
    pod = observed.newest()
    report = of_type(_report(observed), ReplayReport)
    if (waiting := _waiting_for_feed(replay.spec.source.store, observed)) is not None:
        return _run_plan(replay, observed, waiting, now_ms, settings, ())
    before = replay.status.anchor if replay.status is not None else None
    if report is not None and report.anchor is not None and (before is None or report.anchor.number > before.number):
        before = report.anchor  # the status was lost or is older than the log
    verdict = judge_run(observed, replay.status)
    live = pod is not None and pod.phase == "Running"
    anchor = controls.next_anchor(replay.spec, before, report, now_ms) if live else before
    behind = anchor is not None and (report is None or report.anchor is None or report.anchor.number < anchor.number)
    if report is not None:
        verdict = replace(verdict, facts=_replay_facts(report) | {"anchor": anchor})
    told = replay.status.observed_generation if replay.status is not None else None
    plan = _run_plan(
        replay,
        observed,
        verdict,
        now_ms,
        settings,
        _children(replay, observed, settings, controlled=True),
        observed_generation=(told or 0) if behind and live else replay.metadata.generation,
    )
    key = names.control_key(settings.operator_key, replay.metadata.uid)
    return replace(
        plan,
        pushes=controls.pushes(anchor, observed.pods, key) if live else (),
        eager=live and (anchor is None or behind),
    )


def plan_backtest(backtest: Backtest, observed: Observed, now_ms: int, settings: Settings) -> Plan:
    """A Backtest: one Job, bound to one Replay where it trades a stream."""
    report = of_type(_report(observed), BacktestReport)
    bound = backtest.status.replay_uid if backtest.status is not None else None
    wants = backtest.spec.data.replay
    verdict = judge_run(observed, backtest.status)
    if report is not None:
        verdict = replace(verdict, facts=_backtest_facts(report))
    if (waiting := _waiting_for_feed(backtest.spec.data.store, observed)) is not None:
        return _run_plan(backtest, observed, waiting, now_ms, settings, ())
    if wants is None:
        return _run_plan(backtest, observed, verdict, now_ms, settings, _children(backtest, observed, settings))
    replay = observed.replay
    if bound is None and replay is None:
        waiting = Verdict("Pending", "WaitingForReplay", f"no Replay named {wants.name} in this namespace yet")
        return _run_plan(backtest, observed, waiting, now_ms, settings, ())
    uid = bound or (replay.metadata.uid if replay is not None else "")
    if verdict.phase not in ("Complete", "Failed") and (lost := _lost_replay(replay, uid, wants.name)) is not None:
        verdict = replace(verdict, phase="Failed", reason=lost.reason, message=lost.message)
    verdict = replace(verdict, facts={**verdict.facts, "replay_uid": uid})
    children = _children(backtest, observed, settings, extra_env={"TAPEDECK_REPLAY_UID": uid})
    return _run_plan(backtest, observed, verdict, now_ms, settings, children)


def _waiting_for_feed(wanted: StoreRange | None, observed: Observed) -> Verdict | None:
    """A run over stored bars begins when the Feeds that bring some of them are through."""
    if wanted is None or observed.job is not None:
        return None
    for feed in observed.feeds:
        files = feed.spec.source.files
        if files is not None and files.exchange == wanted.exchange:
            brought = {chosen.symbol for chosen in files.sets} & set(wanted.symbols)
            if brought:
                name, symbols = feed.metadata.name, ", ".join(sorted(brought))
                return Verdict("Pending", "WaitingForFeed", f"Feed {name} still brings bars of {symbols}")
    return None


def _lost_replay(replay: Replay | None, uid: str, name: str) -> Verdict | None:
    if replay is None or replay.metadata.uid != uid:
        return Verdict("Failed", "ReplayDeleted", f"Replay {name} was deleted while this run was bound to it")
    if replay.status is not None and replay.status.phase == "Failed":
        return Verdict("Failed", "ReplayFailed", f"Replay {name} failed: {replay.status.message or 'see its status'}")
    return None


def _run_plan(
    resource: Resource,
    observed: Observed,
    verdict: Verdict,
    now_ms: int,
    settings: Settings,
    children: tuple[Json, ...],
    *,
    observed_generation: int | None = None,
) -> Plan:
    over = verdict.phase in ("Complete", "Failed")
    suspended = getattr(resource.spec, "suspend", False) and not over
    if suspended:
        verdict = replace(verdict, phase="Suspended", reason="Suspended", message="suspended by its spec")
    status = compose(resource, verdict, now_ms, observed_generation=observed_generation, refusal=observed.refusal)
    return Plan(
        status=as_json(status),
        apply=() if over else tuple(c for c in children if not (suspended and c["kind"] == "Job")),
        patches=() if over else _corrections(resource, observed, suspended),
        delete=_unwanted(resource, observed, settings, over),
        events=transitions(resource, status, verdict.trouble or observed.refusal is not None),
        wake_ms=_wake(resource, observed, over, now_ms),
    )


def _wake(resource: Resource, observed: Observed, over: bool, now_ms: int) -> int | None:
    """When there is something to do though nothing changes by then."""
    pod = observed.newest()
    if over:
        ttl: int | None = resource.spec.ttl_seconds_after_finished
        return None if ttl is None else now_ms + ttl * 1000
    return now_ms + STARTING_MS if pod is not None and pod.phase == "Pending" else None


def _children(
    resource: Resource,
    observed: Observed,
    settings: Settings,
    *,
    extra_env: dict[str, str] | None = None,
    controlled: bool = False,
) -> tuple[Json, ...]:
    """What is to be applied, the Job last. There only where it is missing: a pod template stays as first applied."""
    policy = network_policy(resource, settings)
    children = [policy] if policy is not None and not covers(observed.policy, policy) else []
    if observed.job is None:
        children += [pods.control_secret(resource, settings)] if controlled else []
        children.append(pods.run_job(resource, settings, extra_env=extra_env, controlled=controlled))
    return tuple(children)


def _corrections(resource: Resource, observed: Observed, suspended: bool) -> tuple[Patch, ...]:
    """What someone else turned, or a suspension, in the Job that there is."""
    if observed.job is None or job_ended(observed.job):
        return ()
    wanted = {"suspend": suspended, "parallelism": 1}
    spec = {"suspend": False, **observed.job["spec"]}
    wrong = {key: value for key, value in wanted.items() if spec.get(key) != value}
    return (Patch("Job", names.child_name(resource), wrong),) if wrong else ()


def _unwanted(resource: Resource, observed: Observed, settings: Settings, over: bool) -> tuple[tuple[str, str], ...]:
    """Children to delete: a Job that outlives its run, a policy where there are to be none."""
    kinds = []
    if over and observed.job is not None and not job_ended(observed.job):
        kinds.append("Job")
    if settings.network is None and observed.policy is not None:
        kinds.append("NetworkPolicy")
    return tuple((kind, names.child_name(resource)) for kind in kinds)


def _report(observed: Observed) -> Report | None:
    """The newest word of the run's pods; that of an earlier pod while its successor is still starting."""
    return next((pod.report for pod in reversed(observed.pods) if pod.report is not None), None)


def _replay_facts(report: ReplayReport) -> Json:
    speed = None
    if report.anchor is not None:
        speed = "paused" if report.anchor.paused else "max" if report.anchor.unpaced else f"{report.anchor.speed:g}x"
    return {
        "position": format_ms(report.position) if report.position is not None else None,
        "published": report.published,
        "progress": f"{report.passed}/{report.rows}",
        "speed": speed,
        "topic": report.topic or None,
        "range_from": report.range_from,
        "range_to": report.range_to,
    }


def _backtest_facts(report: BacktestReport) -> Json:
    facts = report.model_dump(exclude={"state", "reason", "message", "total"})
    return {**facts, "run_id": report.run_id or None, "progress": f"{report.bars}/{report.total or '?'}"}
