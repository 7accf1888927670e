"""Steps of a Replay one after another: its spec has room for one, and the next would replace it unexecuted."""

from __future__ import annotations

import time

from tapedeck_crds.errors import Conflict
from tapedeck_crds.json import Json
from tapedeck_crds.kinds import Replay
from tapedeck_crds.resource import FINAL_PHASES
from tapedeck_gateway.resources.errors import ResourceConflict
from tapedeck_gateway.resources.kubernetes_api import KubernetesApi

WAIT_SECONDS = 5.0
POLL_SECONDS = 0.05


class StepPending(Conflict):
    """The step before has not been executed."""

    reason = "StepPending"


def patch_after_step(api: KubernetesApi, namespace: str, name: str, patch: Json) -> Json:
    """Patch a Replay by a step, once the one before has been executed; returns the Replay.

    The patch names the version that was read: of two steps at the same time the second one waits for the first. Raises
    StepPending where that takes longer than WAIT_SECONDS, and what the API raises.
    """
    ends = time.monotonic() + WAIT_SECONDS
    while True:
        replay = api.get(Replay.plural, namespace, name)
        if not _is_pending(replay):
            version = {"metadata": {"resourceVersion": replay["metadata"]["resourceVersion"]}}
            try:
                return api.patch(Replay.plural, namespace, name, patch | version)
            except ResourceConflict:  # another change or a report came between
                if time.monotonic() >= ends:
                    raise
        elif time.monotonic() >= ends:
            raise StepPending(
                f"step: got another one while that of {replay['spec']['step']['intervals']} intervals is not executed, "
                f"expected it to be within {WAIT_SECONDS:g} s; status.phase is "
                f"{replay.get('status', {}).get('phase', 'Pending')}: try again once the Replay runs"
            )
        time.sleep(POLL_SECONDS)


def _is_pending(replay: Json) -> bool:
    """Whether the Replay's step is still to be executed."""
    step, status = replay["spec"].get("step"), replay.get("status", {})
    if step is None or status.get("phase") in FINAL_PHASES:
        return False
    return bool((status.get("anchor") or {}).get("stepId") != step["id"])
