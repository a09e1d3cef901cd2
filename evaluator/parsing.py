"""Calls found in a model's reply: delivered `tool_calls`, and those left in the text in any of the common syntaxes.

The text is read once from left to right, so what stands inside a thought, a code fence, a quotation or back-ticks is
never a call, and back-ticks inside the arguments of a call never hide it.
"""

import json
import re
from typing import Any

from evaluator.found_calls import MAX_VALUE, FoundCall, decode_at, delivered_calls, from_object
from lib.json_text import read_json
from lib.python_calls import closing, literals

__all__ = ["MAX_MARKS", "MAX_VALUE", "FoundCall", "delivered_calls", "find_calls"]

MAX_MARKS = 2_000  # more of them is no reply but a loop
THOUGHT_ENDS = {
    "<think>": "</think>",
    "<thinking>": "</thinking>",
    "<thought>": "</thought>",
    "<reasoning>": "</reasoning>",
    "[THINK]": "[/THINK]",
}
_OPENER = re.compile(
    r"(?P<thought><think>|<thinking>|<thought>|<reasoning>|\[THINK\])"
    r"|(?P<fence>^[ \t]*(?P<ticks>`{3,}|~{3,})[^\n`]*$)"
    r"|(?P<cited>^[ ]{0,3}>[^\n]*)"
    r"|(?P<hermes><tool_call>)"
    r"|(?P<function><function=)"
    r"|(?P<mistral>\[TOOL_CALLS\])"
    r"|(?P<lmstudio>\[TOOL_REQUEST\])"
    r"|(?P<llama3><\|python_tag\|>)"
    r"|(?P<text>^tool_call:(?P<name>[^\n]*)$)"
    r"|(?P<result>^Result:)"
    r"|(?P<html><(?P<element>code|pre)>)"
    r"|(?P<quote>(?<!`)(?P<tick>`{1,4})(?!`)[^\n]{0,2000}?(?<!`)(?P=tick)(?!`))",
    re.MULTILINE,
)
_ARGUMENTS = re.compile(r"\s*arguments:[ \t]*")
_QUOTED_NAME = re.compile(r'"name"\s*:\s*"((?:[^"\\]|\\.){1,200})"')
_LOOKS_LIKE_JSON = re.compile(r"\s*[\[{]")
_MISTRAL_NAME = re.compile(r"\s*([\w.-]{1,200})(?:\[CALL_ID\][\w-]*)?(?:\[ARGS\])?\s*(?=\{)")
_FUNCTION_NAME = re.compile(r"([^<>\n]{1,200})>")
_PARAMETER = re.compile(r"\s*<parameter=([^<>\n]{1,200})>\n?(.{0,20000}?)\n?</parameter>", re.DOTALL)
_FUNCTION_END = re.compile(r"\s*</function>(?:\s*</tool_call>)?")
_PYTHON_CALL = re.compile(r"[\s\[;,]*([A-Za-z_][\w.]{0,200})\(")
_TURN_ENDS = re.compile(r"(?:\s*(?:</tool_call>|<\|eom_id\|>|<\|eot_id\|>|<\|im_end\|>|</s>))+\s*$")
# A fence behind such words shows what a call looks like; it makes none.
_SHOWN_ONLY = re.compile(
    r"\b(example|e\.g\.|for instance|such as|looks? like|would (be|look|need))\b[^\n]*\n?\s*$",
    re.IGNORECASE,
)
_QUOTES = "\"'“‘«„"


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
            if not _SHOWN_ONLY.search(text[max(0, match.start() - 300) : match.start()]):
                fences.append(body)
        elif kind == "html":
            position = _behind(text, f"</{match['element']}>", match.end())
        elif kind in _READERS:
            found, position = _READERS[kind](text, match)
            if text[match.start() - 1 : match.start()] not in _QUOTES or not match.start():
                calls += found
        else:
            position = match.end()
            if kind == "result":
                position = _skip_value(text, position)
    if calls:
        return calls[:MAX_MARKS]
    whole = _objects(text[start:], "llama3", len(text))
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


def spoken(text: str) -> str:
    """The text without thoughts: what the reply tells the user."""
    text = text[_after_open_thought(text) :]
    for opener, closer in THOUGHT_ENDS.items():
        parts = text.split(opener)
        text = parts[0] + "".join(part.partition(closer)[2] for part in parts[1:])
    return text


def _fence(text: str, match: re.Match) -> tuple[str, int]:
    close = re.compile(rf"^[ \t]*{re.escape(match['ticks'])}[`~]*[ \t]*\r?$", re.MULTILINE).search(text, match.end())
    end = close.start() if close else len(text)
    return text[match.end() : end], close.end() if close else len(text)


def _skip_value(text: str, position: int) -> int:
    try:
        return decode_at(text, position)[1]
    except ValueError:
        return position


def _broken(text: str, at: int, source: str, error: ValueError) -> FoundCall:
    named = _QUOTED_NAME.search(text, at, at + 2000)
    return FoundCall(named[1] if named else "", None, source, len(text), str(error))


def _read_object(text: str, match: re.Match) -> tuple[list[FoundCall], int]:
    """One call (or a list of them) behind `<tool_call>` or `[TOOL_REQUEST]`; the closing mark may be missing."""
    source = match.lastgroup
    closer = {"hermes": "</tool_call>", "lmstudio": "[END_TOOL_REQUEST]"}[source]
    try:
        value, end = decode_at(text, match.end())
    except ValueError as error:
        if not _LOOKS_LIKE_JSON.match(text, match.end()):
            return [], match.end()
        return [_broken(text, match.end(), source, error)], _behind(text, closer, match.end())
    entries = value if isinstance(value, list) else [value]
    closed = re.compile(r"\s*" + re.escape(closer)).match(text, end)
    return [from_object(entry, source, end) for entry in entries], closed.end() if closed else end


def _read_function(text: str, match: re.Match) -> tuple[list[FoundCall], int]:
    """One call as `<function=NAME>`, with parameters of their own (Qwen3-Coder) or one JSON object (Llama 3.1)."""
    named = _FUNCTION_NAME.match(text, match.end())
    if not named:
        return [], match.end()
    name, position = named[1].strip(), named.end()
    if _LOOKS_LIKE_JSON.match(text, position):
        try:
            arguments, position = decode_at(text, position)
        except ValueError as error:
            return [FoundCall(name, None, "function", len(text), f"arguments: {error}")], len(text)
    else:
        arguments = {}
        while given := _PARAMETER.match(text, position):
            arguments[given[1].strip()] = _typed(given[2])
            position = given.end()
    closed = _FUNCTION_END.match(text, position)
    if not closed and not arguments:
        return [FoundCall(name, None, "function", position, "no </function> follows")], position
    end = closed.end() if closed else position
    return [from_object({"name": name, "arguments": arguments}, "function", end)], end


def _typed(text: str) -> Any:
    """A parameter written without quotes: what it is as JSON, a text where it is none."""
    value, faults = read_json(text)
    return text if faults or isinstance(value, str) else value


def _read_mistral(text: str, match: re.Match) -> tuple[list[FoundCall], int]:
    """Calls behind `[TOOL_CALLS]`: a JSON list of them, or name{arguments} as newer models write."""
    position = match.end()
    try:
        if named := _MISTRAL_NAME.match(text, position):
            arguments, end = decode_at(text, named.end())
            return [from_object({"name": named[1], "arguments": arguments}, "mistral", end)], end
        value, end = decode_at(text, position)
    except ValueError as error:
        if named:
            return [FoundCall(named[1], None, "mistral", len(text), f"arguments: {error}")], len(text)
        if not _LOOKS_LIKE_JSON.match(text, position):
            return [], position
        return [_broken(text, position, "mistral", error)], len(text)
    return [from_object(entry, "mistral", end) for entry in (value if isinstance(value, list) else [value])], end


def _read_python_tag(text: str, match: re.Match) -> tuple[list[FoundCall], int]:
    """Llama 3's calls behind `<|python_tag|>`: JSON objects with `;` between them, or `name.call(key="value")`."""
    calls, position = [], match.end()
    while (named := _PYTHON_CALL.match(text, position)) and len(calls) < MAX_MARKS:
        name = named[1].removesuffix(".call")
        try:
            inside = text[named.end() : named.end() + MAX_VALUE]
            end = closing(inside, 0)
            arguments = _as_json(literals(inside[:end]))
        except ValueError as error:
            return [*calls, FoundCall(name, None, "llama3", len(text), f"arguments: {error}")], len(text)
        position = named.end() + end + 1
        calls.append(FoundCall(name, arguments, "llama3", position))
    if calls:
        return calls, position
    while _LOOKS_LIKE_JSON.match(text, position) and len(calls) < MAX_MARKS:
        try:
            value, position = decode_at(text, position)
        except ValueError as error:
            return [*calls, _broken(text, position, "llama3", error)], len(text)
        calls += [from_object(entry, "llama3", position) for entry in (value if isinstance(value, list) else [value])]
        position = _separators(text, position)
    return calls, position


def _read_text(text: str, match: re.Match) -> tuple[list[FoundCall], int]:
    """One call of our own text form: `tool_call: NAME`, then `arguments: {JSON}`."""
    name, labelled = match["name"].strip(), _ARGUMENTS.match(text, match.end())
    if not labelled:
        return [FoundCall(name, None, "text", match.end(), "no `arguments:` line follows")], match.end()
    try:
        arguments, end = decode_at(text, labelled.end())
    except ValueError as error:
        line_end = text.find("\n", labelled.end())
        end = len(text) if line_end < 0 else line_end
        return [FoundCall(name, None, "text", end, f"arguments: {error}")], end
    return [from_object({"name": name, "arguments": arguments}, "text", end)], end


def _as_json(value: dict) -> dict:
    """The value as JSON has it; ValueError for what JSON cannot hold."""
    try:
        value, faults = read_json(json.dumps(value, allow_nan=False))
    except (TypeError, RecursionError):
        raise ValueError("not JSON: a value that JSON does not have") from None
    if faults:
        raise ValueError(faults[0].message)
    return value


def _separators(text: str, position: int) -> int:
    while position < len(text) and text[position] in " \t\r\n;,":
        position += 1
    return position


def _objects(text: str, source: str, end: int) -> list[FoundCall]:
    """The calls of a text that is nothing but call objects (a list of them, or several behind one another)."""
    text = text.strip()[:MAX_VALUE]
    text = (text[:-200] + _TURN_ENDS.sub("", text[-200:])).rstrip()
    if not text.startswith(("{", "[")):
        return []
    entries: list[Any] = []
    position = 0
    try:
        while position < len(text) and len(entries) < MAX_MARKS:
            value, position = decode_at(text, position)
            entries += value if isinstance(value, list) else [value]
            position = _separators(text, position)
    except ValueError:
        return []
    return [from_object(entry, source, end) for entry in entries] if all(map(_is_call, entries)) else []


def _is_call(entry: Any) -> bool:
    """Whether an object without any mark round it is meant as a call: it has a name and arguments."""
    if not isinstance(entry, dict):
        return False
    inner = entry["function"] if isinstance(entry.get("function"), dict) else entry
    return bool({"name", "function"} & inner.keys()) and bool({"arguments", "parameters"} & inner.keys())


_READERS = {
    "hermes": _read_object,
    "lmstudio": _read_object,
    "function": _read_function,
    "mistral": _read_mistral,
    "llama3": _read_python_tag,
    "text": _read_text,
}
