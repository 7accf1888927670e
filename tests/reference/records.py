"""The topics, and the records on them."""

from __future__ import annotations

import json
from typing import Any

from reference.markdown import code, prose, table
from tapedeck_common import topics
from tapedeck_common.schemas import rendered

_TOPICS = (
    (topics.MARKET_TRADES, "Feeds", "trade"),
    (topics.MARKET_TICKERS, "Feeds", "ticker"),
    (topics.MARKET_BARS, "Feeds; a Replay with `target`", "bar"),
    (topics.MARKET_INGEST, "Feeds: errors, gaps, catalogue", "ingest"),
    (topics.MARKET_POINTS, "transforms of Feeds", "point"),
    (topics.RESULTS, "Backtests, by run", "result"),
    (f"{topics.REPLAY_PREFIX}<uid>", "one Replay", "bar or trade, replay-control"),
    (f"{topics.POINTS_PREFIX}<uid>", "the transforms of one Replay", "point"),
)


def page() -> str:
    """The page of topics and schemas."""
    schemas = {path.stem: json.loads(text) for path, text in rendered().items()}
    parts = [
        "# Topics and schemas\n",
        f"`tapedeck migrate` creates the permanent topics with {topics.PERMANENT_PARTITIONS} partitions each; a Replay "
        "creates its own with a partition for each shard. Values are JSON. The key is `exchange:symbol`, of "
        "results the "
        "run's id. Kafka's timestamps are those of the wall clock, never of the market.\n",
        table(("topic", "written by", "schema"), ((code(name), by, schema) for name, by, schema in _TOPICS)),
        "The header `td` has the source: `1;<source>` for market data, `1;replay;<uid>` for a copy that a Replay "
        "with `record` makes for the store, `1;replay;<uid>;<epoch>` for a replay (with `;c` for "
        "its control records), `1;result;<namespace>;<signature>` for results. A consumer that wants live "
        "records alone "
        "leaves out those of the source `replay`. A record that is traced also has the header `traceparent` of W3C's "
        "Trace Context.\n",
        "The schemas are [published](../../workloads/common/tapedeck_common/schemas) as JSON Schema 2020-12. Times are "
        "milliseconds UTC.\n",
    ]
    for name, schema in schemas.items():
        parts.append(f"## {name}\n")
        for title, definition in schema.get("$defs", {}).items():
            parts += _definition(title, definition)
    return "\n".join(parts)


def _definition(title: str, definition: dict[str, Any]) -> list[str]:
    if "properties" not in definition:
        return []
    required = set(definition.get("required", ()))
    rows = [
        (code(name), _type(field), "required" if name in required else code(json.dumps(field.get("default"))))
        for name, field in definition["properties"].items()
    ]
    about = [f"{prose(definition['description'])}\n"] if definition.get("description") else []
    return [f"### {title}\n", *about, table(("field", "type", "default"), rows)]


def _type(field: dict[str, Any]) -> str:
    if "$ref" in field:
        return str(field["$ref"]).rsplit("/", 1)[-1]
    if "anyOf" in field:
        return " or ".join(_type(each) for each in field["anyOf"])
    if "enum" in field:
        return ", ".join(code(each) for each in field["enum"])
    if field.get("type") == "array":
        return f"list of {_type(field['items'])}" if isinstance(field.get("items"), dict) and field["items"] else "list"
    return str(field.get("type", "any"))
