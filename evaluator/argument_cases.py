"""One line of the argument checker's input: tools, expected calls with accepted values, calls made; and its verdict.

    {"id", "tools": [{"name", "parameters", "effect"?}], "expected": [{name: {parameter: [accepted values]}}],
     "calls": [{"name", "arguments"}], "order"?: [[0, 1], ...], "extra"?: "forbid"}

Among the accepted values an empty string means that the parameter may be left out; the fields of an object among them
hold lists of accepted values in turn, and the items of a list are plain values. Instead of the list a parameter may
have a rule of evaluator/values.py, such as {"glob": "*.md"}. A value that is accepted to the letter is right whatever
its schema says of it. `order`: expected call 0 must come before 1. `extra`: forbid, read_only_ok or any.
"""

import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from typing import Any

from evaluator.parsing import FoundCall, delivered_calls
from evaluator.values import fault_of, is_rule
from lib.json_text import MAX_DEPTH, read_json, shown
from lib.toolset import EFFECTS

EXTRA_POLICIES = ("forbid", "read_only_ok", "any")
KEYS = ("id", "tools", "expected", "calls")
_SURROGATE = re.compile("[\ud800-\udfff]")
_TOKEN = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"|[\[{]|[\]}]', re.DOTALL)


class BadCase(ValueError):
    """What is wrong with a line, in words."""


class BadJson(ValueError):
    """A line that holds a case but is not JSON to the letter. id: the case's, when it could be read."""

    def __init__(self, message: str, case_id: Any):
        super().__init__(message)
        self.id = case_id


@dataclass(frozen=True)
class ArgumentCase:
    """What one line says. expected: (tool, accepted values by parameter); effects and schemas: of each tool."""

    id: str | int | float
    schemas: dict[str, Any]
    effects: dict[str, str]
    expected: tuple[tuple[str, dict], ...]
    calls: tuple[FoundCall, ...]
    order: tuple[tuple[int, int], ...] = ()
    extra: str = "forbid"


def id_of(row: Any) -> str | int | float | None:
    """The id of a case, None when it has none that can be written down."""
    found = row.get("id") if isinstance(row, dict) else None
    if isinstance(found, str):
        return None if _SURROGATE.search(found) else found
    return found if type(found) is int or (type(found) is float and math.isfinite(found)) else None


def read_case_line(line: bytes) -> Any:
    """The JSON value of a line; BadCase or BadJson says what is wrong with the text."""
    try:
        text = line.decode("utf-8")
    except UnicodeDecodeError as error:
        raise BadCase(f"not UTF-8: {error.reason} at byte {error.start}") from None
    row, faults = read_json(text)
    fault = next((fault for fault in faults if fault.severity == "error"), None)
    if fault is None:
        return row
    case_id = id_of(_read_leniently(text) if row is None else row)
    if case_id is None:
        raise BadCase(fault.message)
    raise BadJson(fault.message, case_id)


def _read_leniently(text: str) -> Any:
    """The value of a text that is JSON but for its depth, its numbers or raw control characters; else None."""
    try:
        return json.loads(
            _shallow(text), strict=False, parse_constant=lambda name: None, parse_int=lambda digits: int(digits[:1000])
        )
    except (ValueError, RecursionError):
        return None


def _shallow(text: str) -> str:
    """The text with null for all that is nested deeper than MAX_DEPTH."""
    parts, start, depth = [], 0, 0
    for token in _TOKEN.finditer(text):
        if token[0] in "[{":
            depth += 1
            if depth == MAX_DEPTH + 1:
                parts += [text[start : token.start()], "null"]
        elif token[0] in "]}":
            if depth == MAX_DEPTH + 1:
                start = token.end()
            depth -= 1
    return "".join([*parts, text[start:]])


def case_from_row(row: Any) -> ArgumentCase:
    """The case of a row; BadCase says what is wrong with it."""
    if not isinstance(row, dict):
        raise BadCase("a case must be a JSON object")
    if missing := [key for key in KEYS if key not in row]:
        raise BadCase(f"{', '.join(missing)} missing; a case has {', '.join(KEYS)}")
    if id_of(row) is None:
        raise BadCase("id must be a text or a number")
    for key in ("tools", "expected", "calls"):
        if not isinstance(row[key], list):
            raise BadCase(f"{key} must be a list")
    tools = dict(_tool(entry, f"tools[{number}]") for number, entry in reversed(list(enumerate(row["tools"]))))
    expected = tuple(_expected(entry, f"expected[{number}]", tools) for number, entry in enumerate(row["expected"]))
    extra = row.get("extra", "forbid")
    if extra not in EXTRA_POLICIES:
        raise BadCase(f"extra must be one of {', '.join(EXTRA_POLICIES)}")
    return ArgumentCase(
        id_of(row),
        {name: tool.get("parameters") for name, tool in tools.items()},
        {name: tool.get("effect", "write") for name, tool in tools.items()},
        expected,
        tuple(delivered_calls(row["calls"])),
        _order(row.get("order", []), len(expected)),
        extra,
    )


def _tool(entry: Any, where: str) -> tuple[str, dict]:
    """(name, tool); of two with one name the first counts. OpenAI's {"type": "function", "function": {...}} will do."""
    if isinstance(entry, dict) and isinstance(entry.get("function"), dict):
        entry = entry["function"]
    name = entry.get("name") if isinstance(entry, dict) else None
    if not isinstance(name, str) or not name:
        raise BadCase(f"{where} has no name")
    if entry.get("effect", "write") not in EFFECTS:
        raise BadCase(f"{where}: effect must be one of {', '.join(EFFECTS)}")
    return name, entry


def _expected(entry: Any, where: str, tools: dict) -> tuple[str, dict]:
    if not isinstance(entry, dict) or len(entry) != 1:
        raise BadCase(f"{where} must be an object with one key, the name of a tool")
    ((name, accepted),) = entry.items()
    if name not in tools:
        raise BadCase(f"{where}: {shown(name)} is not among the tools")
    if not isinstance(accepted, dict):
        raise BadCase(f"{where}: the accepted values must be an object, parameter by parameter")
    for parameter, values in accepted.items():
        if not isinstance(values, list) and not is_rule(values):
            raise BadCase(f"{where}: {shown(parameter)} needs a list of accepted values (or a rule)")
        if fault := fault_of(values):
            raise BadCase(f"{where}: {shown(parameter)}: {fault}")
    return name, accepted


def _order(pairs: Any, count: int) -> tuple[tuple[int, int], ...]:
    if not isinstance(pairs, list) or not all(isinstance(pair, list) and len(pair) == 2 for pair in pairs):
        raise BadCase("order must be a list of pairs [first, then]")
    if not all(type(index) is int and 0 <= index < count for pair in pairs for index in pair):
        raise BadCase(f"order must name expected calls by number, 0 to {count - 1}")
    sorter = TopologicalSorter()
    for first, then in pairs:
        sorter.add(then, first)
    try:
        sorter.prepare()
    except CycleError:
        raise BadCase("order leads back to itself") from None
    return tuple(map(tuple, pairs))


def rule_for(accepted: Any, text_mode: str, to_the_letter: bool = False) -> Any:
    """The rule of evaluator/values.py for a list of accepted values, or for a rule given in its place.

    to_the_letter: without the empty string, and objects in one reading only: their fields hold accepted values.
    """
    if isinstance(accepted, list):
        values = [value for value in accepted if value != ""] if to_the_letter else accepted
        rules = [rule for value in values for rule in _readings(value, text_mode, to_the_letter)]
        return {"one_of": rules, "optional": "" in accepted}
    if not is_rule(accepted):
        return _plain(accepted, text_mode)
    rule = dict(accepted)
    for mode in ("one_of", "items", "set"):
        if mode in rule:
            rule[mode] = [
                rule_for(part, text_mode) if is_rule(part) else _plain(part, text_mode) for part in rule[mode]
            ]
    if "fields" in rule:
        rule["fields"] = {name: rule_for(part, text_mode) for name, part in rule["fields"].items()}
    return rule


def _readings(value: Any, text_mode: str, to_the_letter: bool = False) -> Iterator[Any]:
    """The rules for one accepted value: lists in an object are accepted values of its fields, or just lists."""
    nested, plain = _nested(value, text_mode, to_the_letter), _plain(value, text_mode)
    yield nested
    if not to_the_letter and plain != nested:
        yield plain


def _nested(value: Any, text_mode: str, to_the_letter: bool) -> Any:
    if isinstance(value, list):
        return {"items": [_nested(item, text_mode, to_the_letter) for item in value]}
    if not isinstance(value, dict):
        return _plain(value, text_mode)
    fields = {}
    for name, part in value.items():
        is_list = isinstance(part, list)
        fields[name] = rule_for(part, text_mode, to_the_letter) if is_list else _nested(part, text_mode, to_the_letter)
    return {"fields": fields}


def _plain(value: Any, text_mode: str) -> Any:
    """The rule for just this value."""
    if isinstance(value, str):
        return {text_mode: value}
    if isinstance(value, bool) or value is None:
        return {"exact": value}
    if isinstance(value, int | float):
        return {"number": value}
    if isinstance(value, list):
        return {"items": [_plain(item, text_mode) for item in value]}
    return {"fields": {name: _plain(part, text_mode) for name, part in value.items()}}
