"""YAML and JSON text from outside as JSON values, by kubectl's rules and within bounds."""

from __future__ import annotations

import contextlib
import math
import re
from typing import Any, TypeAlias

import yaml

from tapedeck_crds.errors import InvalidInput
from tapedeck_crds.text import printable, quoted

MAX_DEPTH = 100
MAX_VALUES = 200_000  # in one text, aliases and merge keys expanded: they grow exponentially
MAX_DIGITS = 100
MAX_DIRECTIVES = 100  # lines that begin with %: the reader compares each with all before it
TEXT_MAX = 200  # characters of the reader's message
_MERGE = "tag:yaml.org,2002:merge"


class InvalidDocument(InvalidInput):
    """A text that is not YAML, or holds what JSON cannot. The message names the document and its line or field."""

    reason = "InvalidDocument"


_NOT_YAML_1_1 = ("timestamp", "int", "float", "value")  # text for kubectl, or resolved by its own rules


def _invalid(problem: str, node: yaml.Node) -> yaml.YAMLError:
    return yaml.constructor.ConstructorError(None, None, problem, node.start_mark)


class _Loader(yaml.CSafeLoader):
    """YAML 1.1 with kubectl's exceptions: times and base-60 numbers are text, and 1e6 is a number."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._merged_left = MAX_VALUES

    yaml_implicit_resolvers = {  # noqa: RUF012
        first: [(tag, rule) for tag, rule in rules if tag.rsplit(":", 1)[1] not in _NOT_YAML_1_1]
        for first, rules in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        if not isinstance(node, yaml.MappingNode):
            raise _invalid(f"expected a mapping, but found a {node.id}", node)
        seen: set[str] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):  # its text may be longer than any memory holds
                raise _invalid(f"got a {key.id} as a key, expected text", key)
            if key.tag != _MERGE:
                if key.value in seen:
                    raise _invalid(f"key {quoted(key.value)} is given twice, expected once", key)
                seen.add(key.value)
        self.flatten_mapping(node)  # merged keys come first, so that the mapping's own keys override them
        return {
            _key(self.construct_object(key, deep=True)): self.construct_object(value, deep=deep)
            for key, value in node.value
        }

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        """Put the pairs of merge keys before the mapping's own: those of the first named override the others."""
        merges = [value for key, value in node.value if key.tag == _MERGE]
        node.value = [pair for pair in node.value if pair[0].tag != _MERGE]
        merged = [pair for value in merges for pair in self._merged_pairs(value)]
        node.value = merged + node.value

    def _merged_pairs(self, value: yaml.Node) -> list[tuple[yaml.Node, yaml.Node]]:
        parts = value.value[::-1] if isinstance(value, yaml.SequenceNode) else [value]
        pairs: list[tuple[yaml.Node, yaml.Node]] = []
        for part in parts:
            if not isinstance(part, yaml.MappingNode):
                raise _invalid("expected a mapping or a list of mappings as a merge key", part)
            self.flatten_mapping(part)
            self._merged_left -= len(part.value)
            if self._merged_left < 0:
                raise _invalid(f"got merge keys of more than {MAX_VALUES} values, expected fewer", part)
            pairs += part.value
        return pairs


_INT = re.compile(r"[-+]?(?:0b[01_]+|0o?[0-7_]+|(?:0|[1-9][0-9_]*)|0x[0-9a-fA-F_]+)$")
_FLOAT = re.compile(
    r"(?:[-+]?(?:\.[0-9]+|[0-9][0-9_]*(?:\.[0-9_]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$"
)
_Loader.add_implicit_resolver("tag:yaml.org,2002:int", _INT, list("-+0123456789"))
_Loader.add_implicit_resolver("tag:yaml.org,2002:float", _FLOAT, list("-+0123456789."))


def _construct_int(loader: _Loader, node: yaml.ScalarNode) -> int:
    text = str(loader.construct_scalar(node)).replace("_", "")
    if len(text) > MAX_DIGITS:
        raise ValueError(f"got a number of {len(text)} digits, expected at most {MAX_DIGITS}")
    sign, digits = (-1, text[1:]) if text.startswith("-") else (1, text.lstrip("+"))
    if digits != "0" and digits.startswith("0") and digits[1].isdigit():
        return sign * int(digits, 8)
    return sign * int(digits, 0)


def _construct_float(loader: _Loader, node: yaml.ScalarNode) -> float:
    return float(
        str(loader.construct_scalar(node)).replace("_", "").lower().replace(".inf", "inf").replace(".nan", "nan")
    )


def _construct_bool(loader: _Loader, node: yaml.ScalarNode) -> bool:
    text = str(loader.construct_scalar(node))
    if text.lower() not in loader.bool_values:
        raise _invalid(f"got {quoted(text)}, expected true or false", node)
    return loader.bool_values[text.lower()]


def _construct_timestamp(loader: _Loader, node: yaml.ScalarNode) -> Any:
    text = str(loader.construct_scalar(node))
    if loader.timestamp_regexp.match(text) is None:
        raise _invalid(f"got {quoted(text)}, expected a time", node)
    return loader.construct_yaml_timestamp(node)


_Loader.add_constructor("tag:yaml.org,2002:int", _construct_int)
_Loader.add_constructor("tag:yaml.org,2002:bool", _construct_bool)
_Loader.add_constructor("tag:yaml.org,2002:float", _construct_float)
_Loader.add_constructor("tag:yaml.org,2002:timestamp", _construct_timestamp)


def read_documents(text: str, name: str) -> list[tuple[str, Any]]:
    """The documents of a text, each with its place in it for messages, such as ``name, document 2``.

    A document that is empty is None. Raises InvalidDocument.
    """
    _check_size(name, text)
    documents: list[tuple[str, Any]] = []
    number = 1
    try:
        for content in yaml.load_all(text, Loader=_Loader):
            where = f"{name}, document {number}"
            documents.append((where, _JsonCopier(where).copy(content)))
            number += 1
    except yaml.MarkedYAMLError as error:
        last = max(len(text.splitlines()), 1)  # the reader takes the end of the text for a line of its own
        line = f", line {min(error.problem_mark.line + 1, last)}" if error.problem_mark else ""
        problem = printable(error.problem or "")[:TEXT_MAX]
        raise InvalidDocument(f"{name}, document {number}{line}: {problem}") from None
    except InvalidDocument:
        raise
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise InvalidDocument(f"{name}, document {number}: {printable(str(error))[:TEXT_MAX]}") from None
    return documents


_DIRECTIVE = re.compile("(?:^|[\r\n\x85\u2028\u2029])%")


def _check_size(name: str, text: str) -> None:
    """Raises InvalidDocument for more values or deeper nesting than permitted, before anything is built of them."""
    if len(_DIRECTIVE.findall(text)) > MAX_DIRECTIVES:
        raise InvalidDocument(f"{name}: got more than {MAX_DIRECTIVES} lines that begin with %, expected fewer")
    values = depth = 0
    with contextlib.suppress(yaml.YAMLError, UnicodeError):  # reading it for its values says what is wrong, and where
        for event in yaml.parse(text, Loader=yaml.CSafeLoader):
            values += isinstance(event, yaml.NodeEvent | yaml.DocumentStartEvent)
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if values > MAX_VALUES:
                raise InvalidDocument(f"{name}: got more than {MAX_VALUES} values, expected fewer")
            if depth > MAX_DEPTH:
                raise InvalidDocument(f"{name}: got values nested more than {MAX_DEPTH} deep, expected fewer levels")


_Path: TypeAlias = "tuple[_Path, str | int] | None"
"""Where a value is: the place of what holds it, and its key or number there. Keys may be long: none is copied."""


def _shown(path: _Path) -> str:
    parts: list[str] = []
    while path is not None:
        path, part = path
        parts.append(f"[{part}]" if isinstance(part, int) else f".{part}")
    return "".join(reversed(parts)).removeprefix(".")


class _JsonCopier:
    """Copies a value that JSON can hold. Raises InvalidDocument for any other."""

    def __init__(self, where: str) -> None:
        self._where = where
        self._values_left = MAX_VALUES

    def copy(self, given: Any, path: _Path = None, depth: int = 0) -> Any:
        self._values_left -= 1
        if depth > MAX_DEPTH or self._values_left < 0:
            raise InvalidDocument(
                f"{self._where}: got a value that contains itself or too many values, expected a tree of at most "
                f"{MAX_VALUES} values"
            )
        if isinstance(given, dict):
            return {key: self.copy(each, (path, key), depth + 1) for key, each in given.items()}
        if isinstance(given, list):
            return [self.copy(item, (path, number), depth + 1) for number, item in enumerate(given)]
        if isinstance(given, float) and not math.isfinite(given):
            raise self._refused(path, f"got {given}, expected a finite number")
        if isinstance(given, float) and given.is_integer() and abs(given) < 2**63:
            return int(given)  # an API server stores 60.0 as 60, too
        if given is None or isinstance(given, str | bool | int | float):
            return given
        raise self._refused(path, f"got a {type(given).__name__}, expected a JSON value")

    def _refused(self, path: _Path, problem: str) -> InvalidDocument:
        shown = _shown(path)
        return InvalidDocument(f"{self._where}: {shown[:TEXT_MAX]}: {problem}")


def _key(key: Any) -> str:
    if isinstance(key, bool):
        return "true" if key else "false"
    return "null" if key is None else str(key)
