"""Steps of a Replay one after another: its spec has room for one, and the next would replace it unexecuted."""

from __future__ import annotations

import asyncio
import time

from starlette.concurrency import run_in_threadpool

from tapedeck_crds.errors import Conflict
from tapedeck_crds.json import Json
from tapedeck_crds.kinds import Replay
from tapedeck_crds.resource import is_finished
from tapedeck_gateway.resources.errors import ResourceConflict
from tapedeck_gateway.resources.kubernetes_api import KubernetesApi

WAIT_SECONDS = 5.0
FIRST_PAUSE_SECONDS, LAST_PAUSE_SECONDS = 0.05, 0.5


class StepPending(Conflict):
    """The step before has not been executed."""

    reason = "StepPending"


async def patch_after_step(api: KubernetesApi, namespace: str, name: str, patch: Json) -> Json:
    """Patch a Replay by a step, once the one before has been executed; returns the Replay.

    It waits in the event loop: threads are few. The patch names the version that was read: of two steps at the same
    time the second one waits for the first. Raises StepPending where that takes longer than WAIT_SECONDS, and what the
    API raises.
    """
    ends, pause = time.monotonic() + WAIT_SECONDS, FIRST_PAUSE_SECONDS
    while True:
        replay = await run_in_threadpool(api.get, Replay.plural, namespace, name)
        if not _is_pending(replay):
            version = {"metadata": {"resourceVersion": replay["metadata"]["resourceVersion"]}}
            try:
                return await run_in_threadpool(api.patch, Replay.plural, namespace, name, patch | version)
            except ResourceConflict:  # another change or a report came between
                if time.monotonic() >= ends:
                    raise
        elif time.monotonic() >= ends:
            raise StepPending(
                f"step: got another one while that of {replay['spec']['step']['intervals']} intervals is not executed, "
                f"expected it to be within {WAIT_SECONDS:g} s; status.phase is "
                f"{(replay.get('status') or {}).get('phase', 'Pending')}: try again once the Replay runs"
            )
        await asyncio.sleep(pause)
        pause = min(2 * pause, LAST_PAUSE_SECONDS)


def _is_pending(replay: Json) -> bool:
    """Whether the Replay's step is still to be executed."""
    step = replay["spec"].get("step")
    if step is None or is_finished(replay):
        return False
    anchor = (replay.get("status") or {}).get("anchor") or {}
    return bool(anchor.get("stepId") != step["id"])
