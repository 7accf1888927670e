"""Courses of metrics, and the alerts that fire at their end."""

from __future__ import annotations

from dataclasses import dataclass, field

LAG = 'tapedeck_recorder_lag_records{pod="a",topic="t"}'
LAG_SECONDS = 'tapedeck_recorder_lag_seconds{pod="a",topic="t"}'
REJECTED = 'tapedeck_recorder_rejected_records_total{pod="a",topic="t"}'
REFUSED = 'tapedeck_resource_rows_total{kind="Feed",namespace="n",name="f",pod="%s",result="refused"}'
CREATED = 'tapedeck_resource_creation_timestamp_seconds{kind="Feed",namespace="n",name="f",pod="%s"}'
FAILED = 'tapedeck_resource_phase{kind="Backtest",namespace="n",name="b",phase="Failed"}'
FINISHED = 'tapedeck_resource_finish_timestamp_seconds{kind="Backtest",namespace="n",name="b"}'
CONDITION = 'tapedeck_resource_condition{kind="%s",namespace="n",name="b",condition="%s",status="%s",reason="%s"}'
TRIALS = 'tapedeck_resource_expected_trials{kind="Backtest",namespace="n",name="b"}'
PLAYING = 'tapedeck_replay_playing{namespace="n",name="r",pod="r"}'
POSITION = 'tapedeck_replay_position_timestamp_seconds{namespace="n",name="r",pod="r"}'
LATENESS = 'tapedeck_replay_lateness_seconds_bucket{namespace="n",name="r",pod="r",le="%s"}'
LEASES = 'tapedeck_operator_watch_events_total{kind="Lease"}'
SILENT_WATCHES = 'tapedeck_operator_silent_watches_total{kind="Job"}'
LAST_RECORD = 'tapedeck_feed_last_record_timestamp_seconds{namespace="n",name="f",channel="trades",pod="f"}'
LAST_MESSAGE, MISSED = (
    f'tapedeck_feed_{name}{{namespace="n",name="f",channel="%s",shard="%s",pod="f-%s"}}'
    for name in ("last_message_timestamp_seconds", "missed_probes")
)
DOWN = 'tapedeck_feed_subscriptions{namespace="n",name="f",pod="f",state="down"}'
CONNECTING, OPEN = (DOWN.replace('"down"', f'"{state}"') for state in ("connecting", "open"))
GAPS = 'tapedeck_feed_open_gaps{namespace="n",name="f",pod="f"}'
SINK = 'tapedeck_sink_up{pod="%s",sink="s"}'
BROKER, DATABASE = (f'tapedeck_gateway_dependency_up{{pod="g",dependency="{name}"}}' for name in ("broker", "database"))
UP = 'up{job="%s",namespace="n",pod="p"}'
UP_OF_A_RUN = 'up{job="replay",kind="Replay",namespace="n",pod="p"}'
CERTIFICATE = 'tapedeck_gateway_certificate_expiry_timestamp_seconds{namespace="n",pod="g"}'
FREE, SIZE = (
    f'kubelet_volume_stats_{name}_bytes{{namespace="n",persistentvolumeclaim="%s"}}'
    for name in ("available", "capacity")
)
STORE_CLAIM, LOG_CLAIM = "data-td-timescaledb-0", "datadir-redpanda-0"
DISK_FREE, DISK_SIZE = (
    f'redpanda_storage_disk_{name}_bytes{{namespace="n",pod="redpanda-0"}}' for name in ("free", "total")
)

# What is there in every case, so that alerts about its absence keep silent.
NORMAL = {
    LEASES: "0+6x120",
    'tapedeck_recorder_partitions{pod="a"}': "72x120",
    'tapedeck_recorder_wanted_replicas{pod="a"}': "1x120",
    UP % "operator": "1x120",
    UP % "gateway": "1x120",
}


@dataclass(frozen=True)
class Course:
    """Series with a sample each minute (`_`: none; `stale`: the pod ends). ``silent``: alerts that it is close to."""

    about: str
    series: dict[str, str]
    minute: int
    firing: tuple[str, ...] = ()
    silent: tuple[str, ...] = field(default=())


COURSES = [
    Course("nothing happens", {}, 60),
    Course(
        "one of several recorders is gone, and the other has its partitions",
        {
            'tapedeck_recorder_partitions{pod="a"}': "36x20 72x40",
            'tapedeck_recorder_partitions{pod="b"}': "36x20 stale",
            'tapedeck_recorder_wanted_replicas{pod="a"}': "2x60",
            'tapedeck_recorder_wanted_replicas{pod="b"}': "2x20 stale",
        },
        27,
        ("RecorderMissing",),
        ("RecorderDown",),
    ),
    Course(
        "all recorders are gone",
        {
            'tapedeck_recorder_partitions{pod="a"}': "72x20 stale",
            'tapedeck_recorder_wanted_replicas{pod="a"}': "1x20 stale",
        },
        24,
        ("RecorderDown",),
        ("RecorderMissing",),
    ),
    Course(
        "the recorders of one of two teams are gone",
        {
            'tapedeck_recorder_partitions{namespace="one",pod="a"}': "72x20 0x40",
            'tapedeck_recorder_partitions{namespace="two",pod="a"}': "72x60",
            'tapedeck_recorder_wanted_replicas{namespace="one",pod="a"}': "1x60",
            'tapedeck_recorder_wanted_replicas{namespace="two",pod="a"}': "1x60",
        },
        30,
        ("RecorderDown",),
    ),
    Course(
        "one of two recorders of a team is gone, while another team has one recorder",
        {
            'tapedeck_recorder_partitions{namespace="one",pod="a"}': "72x60",
            'tapedeck_recorder_partitions{namespace="two",pod="b"}': "72x60",
            'tapedeck_recorder_wanted_replicas{namespace="one",pod="a"}': "2x60",
            'tapedeck_recorder_wanted_replicas{namespace="two",pod="b"}': "1x60",
        },
        30,
        ("RecorderMissing",),
    ),
    Course("a lag of records stays", {LAG: "5000000x60"}, 25, ("RecorderBehind",)),
    Course("old records are not stored", {LAG: "3x60", LAG_SECONDS: "0+60x60"}, 30, ("RecorderBehind",)),
    Course(
        "a large lag is caught up",
        {LAG: "5000000-80000x61 0x20", LAG_SECONDS: "600-10x60 0x20"},
        75,
        (),
        ("RecorderBehind",),
    ),
    Course(
        "records arrive fast and are stored at once",
        {LAG: "20000x60", LAG_SECONDS: "2x60"},
        40,
        (),
        ("RecorderBehind",),
    ),
    Course(
        "a short import that refused rows is first seen when it has ended",
        {REFUSED % "o": "_x10 500x50", CREATED % "o": "_x10 600x50"},
        11,
        ("RowsRefused",),
    ),
    Course("rows were refused long ago", {REFUSED % "o": "500x60", CREATED % "o": "0x60"}, 30, (), ("RowsRefused",)),
    Course(
        "an operator that started again after an hour tells of old rows",
        {
            REFUSED % "o": "500x20 stale",
            CREATED % "o": "0x20 stale",
            REFUSED % "p": "_x81 500x39",
            CREATED % "p": "_x81 0x39",
            LEASES: "0+6x120",
        },
        85,
        (),
        ("RowsRefused",),
    ),
    Course(
        "a backfill meets errors after a while",
        {REFUSED % "o": "0x20 3x40", CREATED % "o": "0x60"},
        22,
        ("RowsRefused",),
    ),
    Course(
        "a live feed refuses again after its pod restarted",
        {REFUSED % "o": "500x20 0x10 3x30", CREATED % "o": "0x60"},
        33,
        ("RowsRefused",),
    ),
    Course(
        "a live feed's pod restarts and counts from nothing",
        {REFUSED % "o": "500x20 0x40", CREATED % "o": "0x60"},
        22,
        (),
        ("RowsRefused",),
    ),
    Course(
        "an import that was created again refuses as many rows",
        {REFUSED % "o": "3x60", CREATED % "o": "0x30 1830x30"},
        32,
        ("RowsRefused",),
    ),
    Course("a recorder rejects records from its first scrape", {REJECTED: "_x10 7x50"}, 11, ("RecorderRejects",)),
    Course("a recorder rejects more records", {REJECTED: "7x30 8x30"}, 32, ("RecorderRejects",)),
    Course("a recorder rejected records an hour ago", {REJECTED: "0x10 7x110"}, 70, (), ("RecorderRejects",)),
    Course(
        "a sink is unreachable for one recorder",
        {SINK % "a": "1x10 0x50", SINK % "b": "1x60"},
        25,
        ("SinkUnreachable",),
    ),
    Course("a sink is unreachable for a moment", {SINK % "a": "1x10 0x5 1x45"}, 30, (), ("SinkUnreachable",)),
    Course(
        "the last broker of the chart is gone, and no gateway runs that could tell",
        {UP % "redpanda": "1x20 stale", UP % "gateway": "1x20 stale"},
        25,
        ("BrokerDown", "GatewayDown"),
    ),
    Course(
        "one of two brokers is gone",
        {UP % "redpanda": "1x60", (UP % "redpanda").replace('"p"', '"q"'): "1x20 stale"},
        30,
        (),
        ("BrokerDown",),
    ),
    Course(
        "no gateway reaches the broker", {BROKER: "1x20 0x40", DATABASE: "1x60"}, 24, ("BrokerDown",), ("DatabaseDown",)
    ),
    Course(
        "no gateway reaches the database",
        {BROKER: "1x60", DATABASE: "1x20 0x40"},
        24,
        ("DatabaseDown",),
        ("BrokerDown",),
    ),
    Course(
        "the exporter does not reach the database",
        {'pg_up{job="store-exporter",pod="e"}': "1x20 0x40"},
        24,
        ("DatabaseDown",),
    ),
    Course(
        "one of two gateways has lost the broker",
        {BROKER: "0x60", BROKER.replace('"g"', '"h"'): "1x60"},
        30,
        (),
        ("BrokerDown",),
    ),
    Course("the gateway does not answer", {UP % "gateway": "1x20 0x40"}, 24, ("GatewayDown",), ("TargetDown",)),
    Course("the gateway starts again", {UP % "gateway": "1x20 0x1 1x39"}, 30, (), ("GatewayDown",)),
    Course("the pod of a replay is shut off", {UP_OF_A_RUN: "1x20 0x40"}, 28, ("TargetDown",)),
    Course("a pod ends", {UP_OF_A_RUN: "1x20 0x1 stale"}, 28, (), ("TargetDown",)),
    Course("a job of another program has the name of a workload", {UP % "replay": "0x60"}, 28, (), ("TargetDown",)),
    Course("the exporter of another database", {'pg_up{job="postgres",pod="e"}': "0x60"}, 24, (), ("DatabaseDown",)),
    Course("a certificate expires in ten days", {CERTIFICATE: "864000x60"}, 20, ("CertificateExpires",)),
    Course("a certificate is fresh", {CERTIFICATE: "7776000x60"}, 20, (), ("CertificateExpires",)),
    Course(
        "the database's volume fills",
        {FREE % STORE_CLAIM: "20-1x15 5x40", SIZE % STORE_CLAIM: "100x60"},
        24,
        ("StoreVolumeFull",),
    ),
    Course("the broker's volume fills", {FREE % LOG_CLAIM: "5x60", SIZE % LOG_CLAIM: "100x60"}, 20, ("LogVolumeFull",)),
    Course("the broker tells that its disk fills", {DISK_FREE: "9x60", DISK_SIZE: "100x60"}, 20, ("LogVolumeFull",)),
    Course(
        "volumes are half full, and another's is full",
        {
            FREE % STORE_CLAIM: "50x60",
            SIZE % STORE_CLAIM: "100x60",
            DISK_FREE: "40x60",
            DISK_SIZE: "100x60",
            FREE % "data-other-0": "1x60",
            SIZE % "data-other-0": "100x60",
        },
        40,
        (),
        ("StoreVolumeFull", "LogVolumeFull"),
    ),
    Course("the operator is gone", {LEASES: "0+6x20 stale", UP % "operator": "1x20 stale"}, 25, ("OperatorDown",)),
    Course("the operator starts again", {UP % "operator": "1x20 0x1 1x39"}, 25, (), ("OperatorDown",)),
    Course("the operator's watches are silent", {LEASES: "0+6x20 120x40"}, 26, ("OperatorWatchSilent",)),
    Course(
        "the operator's watches pause for a minute", {LEASES: "0+6x20 120x1 121+6x39"}, 26, (), ("OperatorWatchSilent",)
    ),
    Course("watches stall again and again", {SILENT_WATCHES: "0x10 0+1x50"}, 20, ("OperatorWatchesStall",)),
    Course("a watch stalls once", {SILENT_WATCHES: "0x10 1x50"}, 20, (), ("OperatorWatchesStall",)),
    Course(
        "a resource waits for a worker", {"tapedeck_operator_queue_age_seconds": "0+20x60"}, 20, ("OperatorBehind",)
    ),
    Course(
        "a burst is worked off", {"tapedeck_operator_queue_age_seconds": "0x10 90x3 0x50"}, 20, (), ("OperatorBehind",)
    ),
    Course(
        "a run fails",
        {FAILED.replace("Failed", "Running"): "1x10 stale", FAILED: "_x11 1x49", FINISHED: "_x11 660x49"},
        12,
        ("ResourceFailed",),
    ),
    Course("a run failed hours ago", {FAILED: "1x120", FINISHED: "0x120"}, 90, (), ("ResourceFailed",)),
    Course(
        "a run fails again after it was created again",
        {FAILED: "1x60 _x5 1x40", FINISHED: "0x60 _x5 4000x40"},
        72,
        ("ResourceFailed",),
    ),
    Course(
        "an operator that started again tells of an old failure",
        {FAILED: "1x10 stale _x70 1x40", FINISHED: "0x10 stale _x70 0x40"},
        85,
        (),
        ("ResourceFailed",),
    ),
    Course(
        "a shard of a sweep exceeds its memory while the others run",
        {
            CONDITION % ("Backtest", "Ready", "true", "Running"): "1x60",
            CONDITION % ("Backtest", "PodsFailing", "true", "OOMKilled"): "_x10 1x50",
            TRIALS: "500x60",
        },
        16,
        ("SweepShardFailing",),
        ("PodsFailing",),
    ),
    Course(
        "pods of a run fail",
        {CONDITION % ("Backtest", "PodsFailing", "true", "CrashLoop"): "_x10 1x50"},
        16,
        ("PodsFailing",),
        ("SweepShardFailing",),
    ),
    Course(
        "the image of a live feed cannot be pulled, and each try has another reason",
        {
            CONDITION % ("Feed", "PodsFailing", "true", "ErrImagePull"): "_x10 1 stale 1 stale 1 stale 1 stale 1 stale",
            CONDITION % ("Feed", "PodsFailing", "true", "ImagePullBackOff"): "_x11 1 stale 1 stale 1 stale 1 stale",
        },
        17,
        ("PodsFailing",),
    ),
    Course(
        "a run and a sweep failed for good after their pods had",
        {
            FAILED: "1x120",
            FINISHED: "0x120",
            CONDITION % ("Backtest", "Ready", "false", "OOMKilled"): "1x120",
            CONDITION % ("Backtest", "PodsFailing", "false", "NotFailing"): "1x120",
        },
        90,
        (),
        ("PodsFailing", "SweepShardFailing"),
    ),
    Course(
        "a pod of a sweep starts",
        {CONDITION % ("Backtest", "Ready", "false", "Starting"): "1x60", TRIALS: "500x60"},
        30,
        (),
        ("SweepShardFailing", "PodsFailing"),
    ),
    Course(
        "a pod fails once",
        {CONDITION % ("Backtest", "PodsFailing", "true", "CrashLoop"): "_x10 1x1 stale"},
        14,
        (),
        ("PodsFailing",),
    ),
    Course(
        "the transforms of a replay fail",
        {CONDITION % ("Replay", "Ready", "true", "TransformsFailed"): "_x10 1x50"},
        14,
        ("PartFailed",),
    ),
    Course(
        "the backfill of a live feed failed",
        {CONDITION % ("Feed", "Ready", "true", "BackfillFailed"): "_x10 1x50"},
        14,
        ("PartFailed",),
    ),
    Course(
        "transforms work on after the run",
        {CONDITION % ("Replay", "Ready", "true", "Transforming"): "1x60"},
        14,
        (),
        ("PartFailed",),
    ),
    *(
        Course(
            f"a child cannot be applied: {reason}",
            {CONDITION % ("Feed", "Applied", "false", reason): "_x10 1x50"},
            18,
            ("NotApplied",),
        )
        for reason in ("NameConflict", "Forbidden", "Rejected")
    ),
    Course(
        "a run ended although a child could not be applied",
        {
            CONDITION % ("Backtest", "Applied", "false", "Forbidden"): "1x60",
            FAILED.replace("Failed", "Complete"): "_x8 1x52",
        },
        30,
        (),
        ("NotApplied",),
    ),
    Course(
        "a replay is later than the largest bucket",
        {LATENESS % "3600": "0x60", LATENESS % "+Inf": "0+600x60"},
        20,
        ("ReplayLate",),
    ),
    Course(
        "a replay is on time", {LATENESS % "0.01": "0+600x60", LATENESS % "+Inf": "0+600x60"}, 20, (), ("ReplayLate",)
    ),
    Course("a replay stands still", {PLAYING: "1x60", POSITION: "0+60x20 1200x40"}, 32, ("ReplayStalled",)),
    Course("a replay is paused", {PLAYING: "1x20 0x40", POSITION: "0+60x20 1200x40"}, 40, (), ("ReplayStalled",)),
    Course(
        "a feed gets nothing while its exchange trades, and recovery publishes what it missed",
        {LAST_MESSAGE % ("trades", 0, 0): "60x60", MISSED % ("trades", 0, 0): "0x10 0+1x50", LAST_RECORD: "0+60x60"},
        20,
        ("FeedSilent",),
    ),
    Course(
        "one of two shards is silent",
        {
            LAST_MESSAGE % ("trades", 0, 0): "0+61x60",
            LAST_MESSAGE % ("trades", 1, 1): "60x60",
            MISSED % ("trades", 0, 0): "0x60",
            MISSED % ("trades", 1, 1): "0x5 2x55",
        },
        20,
        ("FeedSilent",),
    ),
    Course(
        "one of two channels is silent",
        {
            LAST_MESSAGE % ("trades", 0, 0): "0+61x60",
            LAST_MESSAGE % ("tickers", 0, 0): "60x60",
            MISSED % ("trades", 0, 0): "0x60",
            MISSED % ("tickers", 0, 0): "0x5 2x55",
        },
        20,
        ("FeedSilent",),
    ),
    Course(
        "a pod never received anything",
        {LAST_MESSAGE % ("bars", 0, 0): "_x10 600x50", MISSED % ("bars", 0, 0): "_x10 0x2 3x48"},
        20,
        ("FeedSilent",),
    ),
    Course(
        "a feed's exchange is closed",
        {LAST_MESSAGE % ("trades", 0, 0): "60x60", MISSED % ("trades", 0, 0): "0x60"},
        40,
        (),
        ("FeedSilent",),
    ),
    Course(
        "an illiquid pair after one recovered miss",
        {LAST_MESSAGE % ("trades", 0, 0): "60x60", MISSED % ("trades", 0, 0): "0x10 1x50", LAST_RECORD: "660x60"},
        40,
        (),
        ("FeedSilent",),
    ),
    Course(
        "bars of an hour come once an hour",
        {
            LAST_RECORD.replace("trades", "bars"): "0x60",
            LAST_MESSAGE % ("bars", 0, 0): "0+61x60",
            MISSED % ("bars", 0, 0): "0x60",
        },
        55,
        (),
        ("FeedSilent",),
    ),
    Course(
        "one shard missed records, and another has a quiet market",
        {
            LAST_MESSAGE % ("trades", 0, 0): "0+61x60",
            LAST_MESSAGE % ("trades", 1, 1): "60x60",
            MISSED % ("trades", 0, 0): "2x60",
            MISSED % ("trades", 1, 1): "0x60",
        },
        30,
        (),
        ("FeedSilent",),
    ),
    Course(
        "an illiquid pair is connected and has traded nothing since",
        {DOWN: "0x60", CONNECTING: "0x60", OPEN: "1x60"},
        40,
        (),
        ("FeedDisconnected",),
    ),
    Course(
        "tries to connect end one after another",
        {DOWN: "1 0 1 0 1 0 1 0 1 0 1 0 1 0 1", CONNECTING: "0 1 0 1 0 1 0 1 0 1 0 1 0 1 0"},
        13,
        ("FeedDisconnected",),
    ),
    Course(
        "a feed does not get as far as to subscribe",
        {CONDITION % ("Feed", "Ready", "false", "Unreachable"): "1x60"},
        15,
        ("FeedDisconnected",),
    ),
    Course("a feed has lost its exchange", {DOWN: "0x10 3x50"}, 25, ("FeedDisconnected",)),
    Course("a feed loses a connection for a moment", {DOWN: "0x10 3x2 0x48"}, 25, (), ("FeedDisconnected",)),
    Course("gaps stay open", {GAPS: "0x10 2x50"}, 30, ("GapsOpen",)),
    Course("a gap is filled", {GAPS: "0x10 2x5 0x45"}, 40, (), ("GapsOpen",)),
]

# Rules of a release in the namespace `deck` that watches this namespace alone; others are beside it.
OF_A_RELEASE = {
    name.replace("{", '{namespace="deck",').replace(',namespace="n"', ""): text for name, text in NORMAL.items()
}
COURSES_OF_A_RELEASE = [
    Course("nothing happens", {}, 60),
    Course(
        "the operator and the gateway are gone, and others of these names run elsewhere",
        {
            'up{namespace="deck",job="operator",pod="p"}': "1x20 0x40",
            'up{namespace="deck",job="gateway",pod="p"}': "1x20 stale",
            'up{namespace="else",job="operator",pod="p"}': "1x60",
            'up{namespace="else",job="gateway",pod="p"}': "1x60",
        },
        24,
        ("OperatorDown", "GatewayDown"),
    ),
    Course(
        "the recorders are gone, and another team's run",
        {
            'tapedeck_recorder_partitions{namespace="deck",pod="a"}': "72x20 stale",
            'tapedeck_recorder_wanted_replicas{namespace="deck",pod="a"}': "1x20 stale",
            'tapedeck_recorder_partitions{namespace="team-b",pod="a"}': "72x60",
        },
        24,
        ("RecorderDown",),
    ),
    Course(
        "everything of another release and of other programs is broken",
        {
            'up{namespace="else",job="operator",pod="p"}': "0x60",
            'up{namespace="else",job="replay",kind="Replay",pod="p"}': "0x60",
            'tapedeck_recorder_partitions{namespace="team-b",pod="a"}': "0x60",
            'tapedeck_gateway_dependency_up{namespace="team-b",pod="g",dependency="database"}': "0x60",
            'pg_up{namespace="team-b",job="store-exporter",pod="e"}': "0x60",
            CONDITION % ("Feed", "PodsFailing", "true", "CrashLoop"): "1x60",
            CONDITION % ("Feed", "Applied", "false", "Forbidden"): "1x60",
            DOWN: "3x60",
            GAPS: "3x60",
            SINK % "a": "0x60",
            FREE % STORE_CLAIM: "1x60",
            SIZE % STORE_CLAIM: "100x60",
            LAST_MESSAGE % ("trades", 0, 0): "0x60",
            MISSED % ("trades", 0, 0): "5x60",
        },
        40,
    ),
]
