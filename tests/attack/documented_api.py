"""Requests that schemathesis makes of the API's OpenAPI document: each answer must be one that the document describes.

Where it is told values that exist it uses them in most requests: without them nothing but errors would be answered.
"""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeAlias

import hypothesis
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, strategies
from schemathesis.core.failures import Failure, FailureGroup
from schemathesis.core.result import Ok
from schemathesis.schemas import APIOperation
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from attack.outcome import GIVE_UP_SECONDS, Outcome
from decks.process import Deck
from tapedeck_deck.cli.deck import page_address

Operation: TypeAlias = "APIOperation[Any, Any, Any, Any]"
Case: TypeAlias = "schemathesis.Case[Operation]"
CHECKS = [status_code_conformance, content_type_conformance, response_schema_conformance]
SERVER_ERROR = 500
SELDOM_VALID = ("cursor", "from", "to", "at", "feed", "name", "namespace", "state", "search", "series", "strategy")
"""Parameters that may be left out, and whose invented values find nothing."""


@dataclass(frozen=True)
class Known:
    """Values that exist: of parameters by name, those of an operation by its id, and bodies by that."""

    values: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    of_operation: Mapping[str, Mapping[str, Sequence[Any]]] = field(default_factory=dict)
    bodies: Mapping[str, Any] = field(default_factory=dict)


class DocumentedApi:
    """The API of a gateway as its document describes it. ``answered`` counts the statuses by operation."""

    def __init__(self, url: str, token: str, known: Known) -> None:
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.headers["authorization"] = f"Bearer {token}"
        self._url = url.rstrip("/")
        self._known = known
        self.answered: dict[str, Counter[int]] = defaultdict(Counter)
        document = self._session.get(f"{self._url}/api/v1/openapi.json", timeout=GIVE_UP_SECONDS).json()
        results = schemathesis.openapi.from_dict(document).get_all_operations()
        found = [each.ok() for each in results if isinstance(each, Ok)]
        # What is deleted can no longer be asked for.
        self.operations: list[Operation] = sorted(found, key=lambda each: bool(each.method.lower() == "delete"))

    def ask(self, operation: Operation, seed: int, count: int, outcome: Outcome) -> None:
        """Make requests of an operation: such as its schema allows, and others."""
        kinds = [operation.as_strategy(generation_mode=mode) for mode in schemathesis.GenerationMode]

        @hypothesis.seed(seed)
        @hypothesis.settings(
            max_examples=count,
            database=None,
            deadline=None,
            phases=[Phase.generate],
            suppress_health_check=[*HealthCheck],
        )
        @hypothesis.given(strategies.data())
        def ask_all(data: Any) -> None:
            case = data.draw(strategies.one_of(kinds))
            if data.draw(strategies.integers(0, 3)):
                self._use_known(case, data)
            _only_check(case)
            shown = (operation.label, case.path_parameters, case.query, case.body)
            outcome.attempt(shown, partial(self._send, case))

        ask_all()

    def _use_known(self, case: Case, data: Any) -> None:
        definition = case.operation.definition.raw
        operation_id = definition["operationId"]
        known = {**self._known.values, **self._known.of_operation.get(operation_id, {})}
        for each in definition.get("parameters", ()):
            name, values = each["name"], case.path_parameters if each["in"] == "path" else case.query
            if name in known:
                values[name] = data.draw(strategies.sampled_from(known[name]))
            elif name in SELDOM_VALID and not each.get("required"):
                values.pop(name, None)
        body = self._known.bodies.get(operation_id)
        if body is not None:
            case.body = body

    def _send(self, case: Case) -> str | None:
        answer = case.call(base_url=self._url, session=self._session, timeout=GIVE_UP_SECONDS)
        self.answered[case.operation.definition.raw["operationId"]][answer.status_code] += 1
        if answer.status_code >= SERVER_ERROR:
            return f"status {answer.status_code}: {answer.content[:200]!r}"
        try:
            case.validate_response(answer, checks=CHECKS)
        except FailureGroup as group:
            return "; ".join(_line(each) for each in group.exceptions)
        except Failure as failure:
            return _line(failure)
        return None


def _only_check(case: Case) -> None:
    """Create and change nothing: what a schema allows can be a Feed of an exchange, or a thousand pods."""
    can = any(each["name"] == "dryRun" for each in case.operation.definition.raw.get("parameters", ()))
    if can and case.method.lower() != "delete":
        case.query["dryRun"] = True


def _line(failure: BaseException) -> str:
    return " ".join(str(failure).split())[:300]


def api(running: Deck, rng: random.Random, count: int, outcome: Outcome) -> None:
    """Each request gets an answer that the document describes, and none a 5xx."""
    url, _, token = page_address(running[0]).partition("#token=")
    documented = DocumentedApi(url, token, Known())
    each = count // len(documented.operations) + 1
    for operation in documented.operations:
        documented.ask(operation, rng.randrange(2**32), each, outcome)
