"""Calls found in a model's reply: delivered `tool_calls`, and those left in the text in any of the common syntaxes.

The text is read once from left to right, so what stands inside a thought, a code fence or back-ticks is never a call,
and back-ticks inside the arguments of a call never hide it.
"""

import re
from dataclasses import dataclass
from typing import Any

from lib.json_text import read_json, read_json_prefix

MAX_MARKS = 2_000  # more of them is no reply but a loop
MAX_VALUE = 100_000  # characters of one JSON value
THOUGHT_ENDS = {"<think>": "</think>", "<thinking>": "</thinking>", "[THINK]": "[/THINK]"}
_OPENER = re.compile(
    r"(?P<thought><think>|<thinking>|\[THINK\])"
    r"|(?P<fence>^[ \t]*(?P<ticks>`{3,}|~{3,})[^\n`]*$)"
    r"|(?P<hermes><tool_call>)"
    r"|(?P<mistral>\[TOOL_CALLS\])"
    r"|(?P<lmstudio>\[TOOL_REQUEST\])"
    r"|(?P<text>^tool_call:[ \t]*(?P<name>[^\n]*?)[ \t]*\r?$)"
    r"|(?P<result>^Result:)"
    r"|(?P<quote>`[^`\n]+`)",
    re.MULTILINE,
)
_ARGUMENTS = re.compile(r"\s*arguments:[ \t]*")
_QUOTED_NAME = re.compile(r'"name"\s*:\s*"((?:[^"\\]|\\.){1,200})"')
_LOOKS_LIKE_JSON = re.compile(r"\s*[\[{]")
_MISTRAL_NAME = re.compile(r"\s*([\w.-]{1,200})(?:\[CALL_ID\][\w-]*)?(?:\[ARGS\])?\s*(?=\{)")


@dataclass(frozen=True)
class FoundCall:
    """A call as the model wrote it. `arguments` is None when they are no JSON object; `problem` then says why."""

    name: str
    arguments: dict | None
    source: str  # tool_calls, hermes, mistral, lmstudio, llama3, fenced or text
    end: int = 0  # where the call ends in the reply's text
    problem: str = ""
    id: str = ""


def delivered_calls(tool_calls: Any) -> list[FoundCall]:
    """The calls of a message's `tool_calls` field; arguments may be an object or a JSON string."""
    if not isinstance(tool_calls, list):
        return []
    return [_from_object(entry, "tool_calls", 0) for entry in tool_calls]


def find_calls(text: str) -> list[FoundCall]:
    """The calls that stand in the text of a reply, in order."""
    calls: list[FoundCall] = []
    fences: list[str] = []
    position = _after_open_thought(text)
    start = position
    for _ in range(MAX_MARKS):
        match = _OPENER.search(text, position)
        if not match:
            break
        kind = match.lastgroup
        if kind == "thought":
            position = _behind(text, THOUGHT_ENDS[match["thought"]], match.end())
            start = position if not text[start : match.start()].strip() else start
        elif kind == "fence":
            body, position = _fence(text, match)
            fences.append(body)
        elif kind in _READERS:
            found, position = _READERS[kind](text, match)
            calls += found
        else:
            position = match.end()
            if kind == "result":
                position = _skip_value(text, position)
    if calls:
        return calls
    whole = _objects(text[start:].removeprefix("<|python_tag|>"), "llama3", len(text))
    return whole or [call for body in fences for call in _objects(body, "fenced", len(text))]


def _behind(text: str, mark: str, position: int) -> int:
    """Where the text goes on after the next mark; its end when there is no mark."""
    found = text.find(mark, position)
    return len(text) if found < 0 else found + len(mark)


def _after_open_thought(text: str) -> int:
    """Where the reply starts when its thought was opened in the prompt: after the first lone closing mark."""
    for opener, closer in THOUGHT_ENDS.items():
        end = text.find(closer)
        if end >= 0 and opener not in text[:end]:
            return end + len(closer)
    return 0


def _fence(text: str, match: re.Match) -> tuple[str, int]:
    close = re.compile(rf"^[ \t]*{re.escape(match['ticks'])}[`~]*[ \t]*\r?$", re.MULTILINE).search(text, match.end())
    end = close.start() if close else len(text)
    return text[match.end() : end], close.end() if close else len(text)


def _decode_at(text: str, start: int) -> tuple[Any, int]:
    """The JSON value that begins at start and where it ends; ValueError for what any JSON reader would refuse."""
    value, length, faults = read_json_prefix(text[start : start + MAX_VALUE])
    if faults:
        raise ValueError(faults[0].message)
    return value, start + length


def _skip_value(text: str, position: int) -> int:
    try:
        return _decode_at(text, position)[1]
    except ValueError:
        return position


def _from_object(entry: Any, source: str, end: int) -> FoundCall:
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


def _broken(text: str, at: int, source: str, error: ValueError) -> FoundCall:
    named = _QUOTED_NAME.search(text, at, at + 2000)
    return FoundCall(named[1] if named else "", None, source, len(text), str(error))


def _read_object(text: str, match: re.Match) -> tuple[list[FoundCall], int]:
    """One call (or a list of them) behind `<tool_call>` or `[TOOL_REQUEST]`; the closing mark may be missing."""
    source = match.lastgroup
    closer = {"hermes": "</tool_call>", "lmstudio": "[END_TOOL_REQUEST]"}[source]
    try:
        value, end = _decode_at(text, match.end())
    except ValueError as error:
        if not _LOOKS_LIKE_JSON.match(text, match.end()):
            return [], match.end()
        return [_broken(text, match.end(), source, error)], _behind(text, closer, match.end())
    entries = value if isinstance(value, list) else [value]
    closed = re.compile(r"\s*" + re.escape(closer)).match(text, end)
    return [_from_object(entry, source, end) for entry in entries], closed.end() if closed else end


def _read_mistral(text: str, match: re.Match) -> tuple[list[FoundCall], int]:
    """Calls behind `[TOOL_CALLS]`: a JSON list of them, or name{arguments} as newer models write."""
    position = match.end()
    try:
        if named := _MISTRAL_NAME.match(text, position):
            arguments, end = _decode_at(text, named.end())
            return [_from_object({"name": named[1], "arguments": arguments}, "mistral", end)], end
        value, end = _decode_at(text, position)
    except ValueError as error:
        return [_broken(text, position, "mistral", error)], len(text)
    return [_from_object(entry, "mistral", end) for entry in (value if isinstance(value, list) else [value])], end


def _read_text(text: str, match: re.Match) -> tuple[list[FoundCall], int]:
    """One call of our own text form: `tool_call: NAME`, then `arguments: {JSON}`."""
    name, labelled = match["name"].strip(), _ARGUMENTS.match(text, match.end())
    if not labelled:
        return [FoundCall(name, None, "text", match.end(), "no `arguments:` line follows")], match.end()
    try:
        arguments, end = _decode_at(text, labelled.end())
    except ValueError as error:
        line_end = text.find("\n", labelled.end())
        end = len(text) if line_end < 0 else line_end
        return [FoundCall(name, None, "text", end, f"arguments: {error}")], end
    return [_from_object({"name": name, "arguments": arguments}, "text", end)], end


def _objects(text: str, source: str, end: int) -> list[FoundCall]:
    """The calls of a text that is nothing but call objects (a list of them, or several behind one another)."""
    text = text.strip().removesuffix("<|eom_id|>").rstrip()
    if not text.startswith(("{", "[")):
        return []
    entries: list[Any] = []
    position = 0
    try:
        while position < len(text):
            value, position = _decode_at(text, position)
            entries += value if isinstance(value, list) else [value]
            while position < len(text) and text[position] in " \t\r\n;,":
                position += 1
    except ValueError:
        return []
    return [_from_object(entry, source, end) for entry in entries] if all(map(_is_call, entries)) else []


def _is_call(entry: Any) -> bool:
    """Whether an object without any mark round it is meant as a call: it has a name and arguments."""
    if not isinstance(entry, dict):
        return False
    inner = entry["function"] if isinstance(entry.get("function"), dict) else entry
    return bool({"name", "function"} & inner.keys()) and bool({"arguments", "parameters"} & inner.keys())


_READERS = {"hermes": _read_object, "lmstudio": _read_object, "mistral": _read_mistral, "text": _read_text}
