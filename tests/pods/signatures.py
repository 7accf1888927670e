"""The keys of results that recorders and runs of tests share."""

from __future__ import annotations

import json

from tapedeck_common.result_signatures import ResultSigner
from tapedeck_common.wire import Headers
from tapedeck_crds.run_key import run_key

RESULTS_KEY = b"the key of all results"


def signed(value: bytes, *, key: bytes = RESULTS_KEY, namespace: str = "default") -> Headers:
    """The headers of a record as its run makes them; a record that starts a run has its namespace."""
    try:
        record = json.loads(value)
    except ValueError:
        record = {}
    run_id, namespace = str(record.get("run_id")), record.get("namespace", namespace)
    return ResultSigner(run_key(key, namespace, run_id.partition("@")[0]).encode(), namespace).headers(value)
