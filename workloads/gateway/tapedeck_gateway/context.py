"""What the routes share: the parts of the running gateway, as a parameter of each route."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Annotated, TypeAlias

from fastapi import Depends
from starlette.requests import HTTPConnection

from tapedeck_gateway.access.rate_limit import RateLimit
from tapedeck_gateway.access.request_slots import RequestSlots
from tapedeck_gateway.access.tokens import Tokens
from tapedeck_gateway.options import GatewayOptions
from tapedeck_gateway.push.channel_table import ChannelTable
from tapedeck_gateway.push.session_table import SessionTable
from tapedeck_gateway.resources.deck_files import DeckFiles
from tapedeck_gateway.resources.kubernetes_api import KubernetesApi
from tapedeck_gateway.service_monitor import ServiceMonitor
from tapedeck_gateway.store.pool import Pool
from tapedeck_gateway.symbol_directory import SymbolDirectory
from tapedeck_gateway.topics.replay_list import ReplayList
from tapedeck_gateway.topics.topic_reader import TopicReader


@dataclass
class GatewayContext:
    """The parts of a running gateway. ``open_sockets`` counts WebSockets by client.

    ``resources`` is the API of Feeds, Replays and Backtests, where the gateway may use it; ``files`` takes uploads,
    on a deck.
    """

    options: GatewayOptions
    pool: Pool
    reader: TopicReader
    channels: ChannelTable
    sessions: SessionTable
    replays: ReplayList
    symbols: SymbolDirectory
    services: ServiceMonitor
    rate: RateLimit
    slots: RequestSlots
    tokens: Tokens
    resources: KubernetesApi | None = None
    files: DeckFiles | None = None
    open_sockets: Counter[str] = field(default_factory=Counter)


async def _context_of(connection: HTTPConnection) -> GatewayContext:
    context = connection.app.state.context
    if not isinstance(context, GatewayContext):
        raise TypeError(f"app.state.context: got {context!r}, expected a GatewayContext")
    return context


async def _pool_of(connection: HTTPConnection) -> Pool:
    return (await _context_of(connection)).pool


# Both are coroutines: FastAPI would call plain functions in a thread for every request.
Context: TypeAlias = Annotated[GatewayContext, Depends(_context_of)]
Database: TypeAlias = Annotated[Pool, Depends(_pool_of)]
