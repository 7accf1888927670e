"""The inputs of a run: its YAML, the fingerprint of its data, its images; and repeating it."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

import yaml
from fastapi import APIRouter, Request, Response

from tapedeck_common.version import VERSION
from tapedeck_crds.builtin_strategies import builtin_defaults
from tapedeck_crds.errors import InvalidInput, NotFound
from tapedeck_crds.json import Json
from tapedeck_crds.kinds import GROUP, KINDS
from tapedeck_crds.repeat import StoredRun, manifests_of, repeat_obstacle, repeated_manifests
from tapedeck_gateway.access.problems import API
from tapedeck_gateway.api_types.run_details import RunInputs, RunRepeated
from tapedeck_gateway.charts.instruments import format_of_prices, format_of_step
from tapedeck_gateway.charts.resolutions import base_for
from tapedeck_gateway.charts.symbol_index import MarketSymbol
from tapedeck_gateway.context import Context, GatewayContext
from tapedeck_gateway.future import FutureLimits
from tapedeck_gateway.resources.kubernetes_api import KubernetesApi
from tapedeck_gateway.routes.limits import Limits
from tapedeck_gateway.routes.responses import json_response
from tapedeck_gateway.routes.v1.answers import json_answer
from tapedeck_gateway.routes.v1.documentation import documented, reading
from tapedeck_gateway.routes.v1.resource_access import ChangedNamespace, ResourcesApi, note_change
from tapedeck_gateway.routes.v1.runs import Run
from tapedeck_gateway.store import runs
from tapedeck_gateway.store.bars import newest_prices

router = APIRouter(prefix=API, tags=["runs"])


@reading(router, "/runs/{run_id}/inputs", RunInputs)
def run_inputs(request: Request, context: Context, limits: Limits, run: Run) -> Response:
    """The inputs of a run: YAML that repeats it, the fingerprint of its bars, images and version."""
    return json_answer(request, inputs_of_run(context, limits, run))


def inputs_of_run(context: GatewayContext, limits: FutureLimits, run: runs.RunRow) -> RunInputs:
    """The inputs of a run. Raises Unavailable."""
    stored = runs.stored_run(context.pool, run)
    origin = stored.origin or {}
    return RunInputs(
        run["run_id"],
        stored.spec,
        yaml_of(stored),
        origin.get("data") or "",
        origin.get("images") or {},
        origin.get("version") or "",
        "" if run["trials"] else (origin.get("path") or ""),
        origin.get("seed"),
        repeat_obstacle(stored),
        price_decimals(context, limits, run),
        defaults_taken(stored.spec, origin.get("version") or ""),
    )


def defaults_taken(spec: Json, version: str) -> dict[str, Any] | None:
    """The params that neither the strategy nor the sweep of a spec gives, with their defaults.

    None where these are not known: only the strategies of this version are.
    """
    strategy = spec.get("strategy") or {}
    defaults = builtin_defaults(strategy.get("builtin") or "")
    if not defaults or version != VERSION:
        return None
    swept = {each["name"] for each in (spec.get("sweep") or {}).get("params") or ()}
    given = swept | set(strategy.get("params") or {})
    return {name: default for name, default in defaults.items() if name not in given}


def yaml_of(stored: StoredRun) -> str:
    """The resources of a run as documents of YAML."""
    return yaml.safe_dump_all(manifests_of(stored), sort_keys=False, allow_unicode=True, width=120)


def price_decimals(context: GatewayContext, limits: FutureLimits, run: runs.RunRow) -> dict[str, int]:
    """The decimals of each symbol's prices: those of its price step, else those that its newest bars use."""
    exchange = run["exchange"]
    until = min(limits.of_replay(run["replay_uid"]), limits.of_market(exchange))
    index = context.symbols.index
    known = {symbol: index.market(exchange, symbol) for symbol in run["symbols"]}
    markets = {symbol: market for symbol, market in known.items() if market is not None}
    found = {
        symbol: _digits(format_of_step(market.price_step).pricescale)
        for symbol, market in markets.items()
        if market.price_step
    }
    return found | _sampled_decimals(context, exchange, until, {s: m for s, m in markets.items() if s not in found})


def _sampled_decimals(
    context: GatewayContext, exchange: str, until: int, markets: Mapping[str, MarketSymbol]
) -> dict[str, int]:
    bases = {symbol: base for symbol, market in markets.items() if (base := base_for(market.intervals)) is not None}
    if not bases:
        return {}
    prices = newest_prices(context.pool, exchange, bases, until, 50)
    return {
        symbol: _digits(format_of_prices(prices.get(symbol, []), markets[symbol].type).pricescale) for symbol in bases
    }


def _digits(pricescale: int) -> int:
    """The decimals of a scale, which is a power of 10."""
    return len(str(pricescale)) - 1


@router.post(
    "/namespaces/{namespace}/runs/{run_id}/repeat",
    operation_id="repeat_run",
    response_class=Response,
    status_code=201,
    responses=documented(RunRepeated, status=201),
)
def repeat_run(
    api: ResourcesApi, context: Context, namespace: ChangedNamespace, request: Request, run: Run
) -> Response:
    """Repeat a complete run: create its Backtest, and the Replay that it traded, under new names."""
    if run["namespace"] != namespace:
        raise NotFound(f"run_id: got {run['run_id']!r}, expected the id of a stored run of the namespace {namespace!r}")
    stored = runs.stored_run(context.pool, run)
    if obstacle := repeat_obstacle(stored):
        raise InvalidInput(f"run_id: run {stored.run_id} {obstacle}; expected a complete run that can be repeated")
    manifests = repeated_manifests(stored, f"-rerun-{uuid.uuid4().hex[:6]}")
    note_change(request, f"repeat run {stored.run_id} as {manifests[-1]['metadata']['name']}")
    annotations = _annotations(api, namespace, stored.name)
    made = [
        api.create(KINDS[each["kind"]].plural, _annotated(each, annotations), dry_run=False)["metadata"]
        for each in manifests
    ]
    replay = made[0]["name"] if len(made) > 1 else ""
    response = json_response(RunRepeated(namespace, made[-1]["name"], made[-1]["uid"], replay))
    response.status_code = 201
    return response


def _annotations(api: KubernetesApi, namespace: str, name: str) -> dict[str, str]:
    """Tapedeck's annotations of the Backtest, such as the folder of its modules; none where it was deleted."""
    try:
        found = api.get(KINDS["Backtest"].plural, namespace, name)["metadata"].get("annotations") or {}
    except NotFound:
        return {}
    return {key: value for key, value in found.items() if key.startswith(f"{GROUP}/")}


def _annotated(manifest: Json, annotations: dict[str, str]) -> Json:
    return manifest | {"metadata": manifest["metadata"] | {"annotations": annotations}} if annotations else manifest
