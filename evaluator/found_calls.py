"""A call as a model wrote it, read from the JSON shapes that servers and models use."""

from dataclasses import dataclass
from typing import Any

from lib.json_text import read_json, read_json_prefix

MAX_VALUE = 100_000  # characters of one JSON value


@dataclass(frozen=True)
class FoundCall:
    """A call as the model wrote it. `arguments` is None when they are no JSON object; `problem` then says why."""

    name: str
    arguments: dict | None
    source: str  # tool_calls, hermes, function, mistral, lmstudio, llama3, fenced or text
    end: int = 0  # where the call ends in the reply's text
    problem: str = ""
    id: str = ""


def delivered_calls(tool_calls: Any) -> list[FoundCall]:
    """The calls of a message's `tool_calls` field; arguments may be an object or a JSON string."""
    if not isinstance(tool_calls, list):
        return []
    return [from_object(entry, "tool_calls", 0) for entry in tool_calls]


def decode_at(text: str, start: int) -> tuple[Any, int]:
    """The JSON value that begins at start and where it ends; ValueError for what any JSON reader would refuse."""
    value, length, faults = read_json_prefix(text[start : start + MAX_VALUE])
    if faults:
        raise ValueError(faults[0].message)
    return value, start + length


def from_object(entry: Any, source: str, end: int) -> FoundCall:
    """A call from {"name", "arguments"}, {"name", "parameters"} or {"function": {...}}; odd shapes become problems."""
    if not isinstance(entry, dict):
        return FoundCall("", None, source, end, "a call must be a JSON object")
    call_id = entry["id"] if isinstance(entry.get("id"), str) else ""
    inner = entry["function"] if isinstance(entry.get("function"), dict) else entry
    name = inner.get("name", inner.get("function"))
    name = name if isinstance(name, str) else ""
    arguments = inner.get("arguments", inner.get("parameters", {}))
    problem = "" if name else "the call has no name"
    if isinstance(arguments, str):
        arguments, faults = read_json(arguments or "{}")
        if faults:
            arguments, problem = None, f"arguments: {faults[0].message}"
    if not isinstance(arguments, dict):
        arguments, problem = None, problem or "arguments are not a JSON object"
    return FoundCall(name, arguments, source, end, problem, call_id)
