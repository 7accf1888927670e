"""The condition reasons that the operator sets, each with its meaning and what to do about it.

A condition can also have a reason that a pod reports of itself (such as ``Live`` or ``UnknownSymbol``) or that
Kubernetes gives (such as ``ErrImagePull``). The reference documentation is generated from ``REASONS``.
"""

from __future__ import annotations


class Reason(str):
    """A value of ``conditions[].reason``, documented. ``action`` is empty if a user need not act."""

    meaning: str
    action: str

    def __new__(cls, name: str, meaning: str, action: str = "") -> Reason:
        reason = super().__new__(cls, name)
        reason.meaning, reason.action = meaning, action
        return reason


# The life of a run.
STARTING = Reason("Starting", "The pod is being created, or it runs and has not reported yet.")
RESTARTING = Reason(
    "Restarting",
    "A pod failed and Kubernetes starts another. The message is that of the failed pod.",
)
CRASH_LOOP = Reason(
    "CrashLoop",
    "More than one pod failed, and Kubernetes waits longer before each next one. The message is that of the last.",
    "Read the message, and the log of the failed pod.",
)
NOT_FAILING = Reason("NotFailing", "No pod fails any more, or the run has ended or is suspended.")
SUSPENDED = Reason("Suspended", "spec.suspend is true: no pod runs.", "Set spec.suspend to false to resume.")
COMPLETE = Reason("Complete", "The run ended successfully. A later change of its spec has no effect.")
NOT_FINISHED = Reason("NotFinished", "The run has not ended.")
POD_FAILED = Reason(
    "PodFailed",
    "The last permitted pod ended without a report.",
    "Read the pod's exit code in the message, and its log.",
)
JOB_FAILED = Reason("JobFailed", "The Job failed and no pod of it is left.", "Read the events of the Job.")
DEADLINE_EXCEEDED = Reason(
    "DeadlineExceeded",
    "The run, or the backfill of a Feed, took longer than spec.activeDeadlineSeconds.",
    "Create the resource again with a longer limit, or without one.",
)
INVALID_INPUT = Reason(
    "InvalidInput",
    "A pod rejected its spec or its data; a restart cannot help.",
    "Correct the field that the message names.",
)

OWN_SECRET = Reason(
    "OwnSecret",
    "The resource names a Secret of Tapedeck's own, such as its connections.",
    "Put the keys that the resource needs into a Secret of yours, and create the resource again.",
)

# Input of a Feed.
ROWS_REFUSED = Reason(
    "RowsRefused",
    "The Feed refused a larger share of its rows or messages than spec.maxRefusedPercent permits.",
    "Read the reasons in the message; `tapedeck errors` lists all. Correct the input, or raise the share.",
)
ROWS_TAKEN = Reason("RowsTaken", "The share of refused rows is again within spec.maxRefusedPercent.")
NO_BARS = Reason(
    "NoBars",
    "The exchange has no bar of the whole range of a backfill.",
    "Check symbols and backfill.from: the symbols may have been listed later.",
)

# Dependencies on other resources.
WAITING_FOR_FEED = Reason(
    "WaitingForFeed",
    "The run starts when a Feed of the namespace has finished loading its bars, or exists (data.feed).",
    "Wait, or create the Feed that the message names.",
)
WAITING_FOR_REPLAY = Reason(
    "WaitingForReplay",
    "No Replay with the name in data.replay exists in the namespace.",
    "Create the Replay, or correct data.replay.name.",
)
WAITING_FOR_LEADER = Reason(
    "WaitingForLeader",
    "No Replay with the name in clock.follow exists in the namespace.",
    "Create the Replay, or correct clock.follow.",
)
INVALID_LEADER = Reason(
    "InvalidLeader",
    "clock.follow names this Replay itself or one that follows another clock.",
    "Name a Replay that has its own clock.",
)
UNSUPPORTED_CHANNEL = Reason(
    "UnsupportedChannel",
    "The Replay of a Backtest plays trades; strategies read bars.",
    "Name a Replay with source.channel: bars.",
)
REPLAY_DELETED = Reason(
    "ReplayDeleted",
    "The Replay that the Backtest reads was deleted, or deleted and created again.",
    "Create the Backtest again.",
)
REPLAY_FAILED = Reason(
    "ReplayFailed",
    "The Replay that the Backtest reads failed.",
    "Read the status of the Replay.",
)
FILLING = Reason("Filling", "source.fill: a Feed downloads the bars missing from the range before the Replay starts.")
FILL_FAILED = Reason(
    "FillFailed",
    "source.fill: the Feed that downloads the missing bars failed.",
    "Read the message, which is that Feed's.",
)

# Parts of a run.
BACKFILL_FAILED = Reason(
    "BackfillFailed",
    "The backfill failed; the live pods of the Feed keep running.",
    "Read the message; delete and create the Feed to retry the backfill.",
)
TRANSFORMING = Reason("Transforming", "The run has finished; its transforms have not computed all points yet.")
TRANSFORMS_FAILED = Reason(
    "TransformsFailed",
    "The pod of the transforms failed; the run itself continues.",
    "Read the message, then correct spec.transforms.",
)

# Actions of the operator.
APPLIED = Reason("Applied", "The children of the resource have been applied after an earlier failure.")
NAME_CONFLICT = Reason(
    "NameConflict",
    "An object with the name of a child exists and has another owner.",
    "Delete or rename the object that the message names.",
)
FORBIDDEN = Reason(
    "Forbidden",
    "The operator lacks a permission in the namespace, or a quota is exhausted.",
    "Grant the permission that the message names, or raise the quota.",
)
REJECTED = Reason(
    "Rejected",
    "The API server rejected a child as invalid.",
    "Correct the field that the message names.",
)
CONTROL_REJECTED = Reason(
    "ControlRejected",
    "A pod of a Replay rejected a control.",
    "Correct the control that the message names.",
)
LATE_CONTROL = Reason(
    "LateControl",
    "A control reached a pod of a Replay, or of one that follows its clock, after its time. The pod had published "
    "further by then, so all pods continue from its position; no record is published twice or left out.",
    "If it repeats, look for a busy node, or for a network that delays the operator's requests.",
)
UNREACHABLE = Reason("Unreachable", "A pod does not answer over HTTP. The operator retries.")
NOT_STARTING = Reason(
    "NotStarting",
    "The pod has been assigned to a node and its container does not start.",
    "Check the Secrets, ConfigMaps and volumes that the pod mounts; see `kubectl describe pod`.",
)
UNSCHEDULABLE = Reason(
    "Unschedulable",
    "No node accepts the pod.",
    "Read the message; lower spec.resources.requests, correct spec.nodeSelector, or add a node.",
)
OOM_KILLED = Reason(
    "OOMKilled",
    "The container exceeded its memory limit.",
    "Raise spec.resources.limits.memory or reduce memory use.",
)
EVICTED = Reason(
    "Evicted",
    "The node ended the pod: it exceeded its limit of ephemeral storage, or the node itself ran short.",
    "Read the message; raise spec.resources.limits.ephemeral-storage if the pod's limit is the cause.",
)

REASONS: tuple[Reason, ...] = tuple(value for value in list(globals().values()) if isinstance(value, Reason))
