"""Examples: conversations with tool calls, read from both dataset forms and written back without loss.

Text form:    {"conversations": [{"role", "content"}, ...], "label": true}, calls inside the assistant's text
Native form:  {"messages": [...], "tools": [...], "label": true}, OpenAI-style tool_calls and role "tool" results

An assistant turn in memory holds everything up to the next user message: its words, calls and their results.
Ids of the native form are kept; calls without one get call00001, call00002, ... there (nine characters: Mistral's
template takes no other length), and these stand for "no id" when read.
"""

from dataclasses import dataclass, field
from typing import Any

from lib.call_text import (
    Call,
    Fault,
    Part,
    Result,
    Text,
    dump_arguments,
    parse_text,
    print_text,
)
from lib.json_text import read_json, shown

__all__ = [
    "Call",
    "Example",
    "Fault",
    "Part",
    "Result",
    "Text",
    "Turn",
    "dump_arguments",
    "example_from_row",
    "native_messages",
    "parse_text",
    "print_text",
    "to_native_row",
    "to_text_row",
]

TEXT_ROLES = ("system", "user", "assistant")
ROW_KEYS = ("conversations", "messages", "label", "tools")
MESSAGE_KEYS = {
    "system": {"role", "content"},
    "user": {"role", "content"},
    "assistant": {"role", "content", "tool_calls"},
    "tool": {"role", "content", "tool_call_id", "name"},
}


@dataclass(frozen=True, slots=True)
class Turn:
    """One side's say: words for system and user; words, calls and results for the assistant."""

    role: str
    parts: tuple[Part, ...]

    @property
    def text(self) -> str:
        """The words alone, blank-line separated."""
        return "\n\n".join(part.text for part in self.parts if isinstance(part, Text))


@dataclass(frozen=True, slots=True)
class Example:
    """A conversation, its label (None: unlabelled), its own tool list if it has one, and further row keys."""

    turns: tuple[Turn, ...]
    label: bool | None = None
    tools: tuple[dict, ...] | None = None
    extra: dict = field(default_factory=dict)

    @property
    def calls(self) -> list[Call]:
        """All calls in order."""
        return [part for turn in self.turns for part in turn.parts if isinstance(part, Call)]


def example_from_row(row: Any) -> tuple[Example, list[Fault]]:
    """(example, faults) of a row in either form; never raises, and what could not be read is named in a fault."""
    if type(row) is not dict:
        return Example(()), [Fault("bad-row", f"the row is a {type(row).__name__}, not an object")]
    faults: list[Fault] = []
    native = "conversations" not in row and "messages" in row
    key = "messages" if native else "conversations"
    entries = row.get(key)
    if type(entries) is not list or not entries:
        what = "is missing" if key not in row else "is empty" if entries == [] else "is no list"
        return Example(()), [Fault("bad-row", f'"{key}" {what}; it must be a list of turns')]
    turns = _native_turns(entries, faults) if native else _text_turns(entries, faults)
    label, tools, extra = _row_rest(row, key, faults) if len(row) > 1 else (None, None, {})
    return Example(tuple(turns), label, tools, extra), faults


def _row_rest(row: dict, key: str, faults: list[Fault]):
    """(label, tools, other keys) of a row."""
    label = row.get("label")
    if label is not True and label is not False and "label" in row:
        faults.append(Fault("bad-label", f"label must be true or false, not {shown(label)}"))
        label = None
    if len(row) == 2 and "label" in row:
        return label, None, {}
    extra = {name: value for name, value in row.items() if name not in (key, "label", "tools")}
    for name in extra:
        faults.append(Fault("unknown-key", f"the row has an unknown key {shown(name)}", "warning"))
    tools = row.get("tools")
    if tools is not None and (type(tools) is not list or not all(type(tool) is dict for tool in tools)):
        faults.append(Fault("bad-row", '"tools" must be a list of objects'))
        tools = None
    return label, None if tools is None else tuple(tools), extra


def _text_turns(entries: list, faults: list[Fault]) -> list[Turn]:
    turns = []
    for number, entry in enumerate(entries, start=1):
        message = _message(entry, number, TEXT_ROLES, faults)
        if message is None:
            continue
        role, content = message
        if len(entry) > 2:
            _unknown_keys(entry, ("role", "content"), number, faults)
        if role != "assistant":
            turns.append(Turn(role, (Text(content),) if content else ()))
            continue
        parts, found = parse_text(content)
        if found:
            faults += _placed(found, content, number)
        turns.append(Turn("assistant", parts))
    return turns


def _message(entry: Any, number: int, roles: tuple[str, ...], faults: list[Fault]) -> tuple[str, str] | None:
    """(role, content) of one entry, or None with the reason noted."""
    place = f"turn {number}"
    if type(entry) is not dict:
        faults.append(Fault("bad-turn", f"a turn must be an object, not {shown(entry)}", place=place))
        return None
    role, content = entry.get("role"), entry.get("content")
    if role not in roles:
        hint = " (ShareGPT's from and value must be renamed to role and content)" if "from" in entry else ""
        known = f"; known are {', '.join(roles)}"
        message = f"unknown role {shown(role)}{known}" if "role" in entry else f"the turn has no role{hint}"
        faults.append(Fault("unknown-role", message, place=place))
        return None
    if content is None and "tool_calls" in entry:
        return role, ""
    if type(content) is not str:
        what = "is missing" if "content" not in entry else f"is {shown(content)}"
        faults.append(Fault("bad-content", f"the content {what}; it must be text", place=place))
        return None
    return role, content


def _unknown_keys(entry: dict, known, number: int, faults: list[Fault]) -> None:
    for name in entry:
        if name not in known:
            message = f"the turn has an unknown key {shown(name)}"
            faults.append(Fault("unknown-key", message, "warning", place=f"turn {number}"))


def _placed(found: list[Fault], content: str, number: int) -> list[Fault]:
    """The faults of one text with turn, line and column; lines are counted once, from the start."""
    placed, seen, line = [], 0, 1
    for fault in sorted(found, key=lambda fault: fault.offset):
        line += content.count("\n", seen, fault.offset)
        seen = fault.offset
        column = fault.offset - content.rfind("\n", 0, fault.offset) if line > 1 else fault.offset + 1
        place = f"turn {number}, line {line}, column {column}"
        placed.append(Fault(fault.code, fault.message, fault.severity, fault.offset, place))
    return placed


def _native_turns(entries: list, faults: list[Fault]) -> list[Turn]:
    turns: list[tuple[str, list[Part]]] = []
    calls = 0  # in the whole conversation: the number in the standard ids
    results = 0
    open_turn = False  # whether the last assistant turn may go on: it called or was answered
    for number, entry in enumerate(entries, start=1):
        message = _message(entry, number, tuple(MESSAGE_KEYS), faults)
        if message is None:
            continue
        role, content = message
        _unknown_keys(entry, MESSAGE_KEYS[role], number, faults)
        if role == "tool":
            results += 1
            result = _native_result(entry, content, number, results, faults)
            if open_turn:
                turns[-1][1].append(result)
            else:
                faults.append(Fault("stray-result", "a tool message without a call before it", place=f"turn {number}"))
            continue
        parts: list[Part] = [Text(content)] if content else []
        if role == "assistant":
            found = _native_calls(entry, number, calls, faults)
            calls += len(found)
            parts += found
        if role == "assistant" and open_turn:
            turns[-1][1].extend(parts)
        else:
            turns.append((role, parts))
        open_turn = role == "assistant" and (bool(entry.get("tool_calls")))
    return [Turn(role, tuple(parts)) for role, parts in turns]


def _native_calls(entry: dict, number: int, before: int, faults: list[Fault]) -> list[Part]:
    """The calls of one assistant message; `before` calls stand earlier in the conversation."""
    entries = entry.get("tool_calls")
    if entries is None:
        return []
    if type(entries) is not list:
        faults.append(Fault("bad-call", "tool_calls must be a list", place=f"turn {number}"))
        return []
    calls: list[Part] = []
    for index, item in enumerate(entries, start=1):
        place = f"turn {number}, call {index}"
        function = item.get("function") if type(item) is dict else None
        if type(function) is not dict or type(function.get("name")) is not str:
            faults.append(Fault("bad-call", "a call must hold a function with a name", place=place))
            continue
        arguments, raw = _native_arguments(function.get("arguments", {}), place, faults)
        call_id = item.get("id", "")
        if type(call_id) is not str:
            faults.append(Fault("bad-call", "the id of a call must be text", place=place))
            call_id = ""
        call_id = "" if call_id == _standard_id(before + len(calls) + 1) else call_id
        calls.append(Call(function["name"], arguments, call_id, raw))
    return calls


def _native_arguments(written: Any, place: str, faults: list[Fault]) -> tuple[dict, str | None]:
    """(arguments, None), or ({}, the text as written) when it is no JSON object."""
    if type(written) is dict:
        return written, None
    if type(written) is not str:
        faults.append(Fault("not-json", f"the arguments are {shown(written)}, not an object", place=place))
        return {}, dump_arguments(written)
    value, found = read_json(written)
    for fault in found:
        where = f"{place}, character {fault.offset + 1} of its arguments"
        faults.append(Fault(fault.code, fault.message, fault.severity, fault.offset, where))
    if type(value) is dict:
        return value, None
    if not found:
        faults.append(Fault("not-json", f"the arguments are a {type(value).__name__}, not an object", place=place))
    return {}, written


def _native_result(entry: dict, content: str, number: int, count: int, faults: list[Fault]) -> Result:
    call_id = entry.get("tool_call_id", "")
    call_id = "" if type(call_id) is not str or call_id == _standard_id(count) else call_id
    value, found = read_json(content)
    place = f"turn {number}"
    for fault in found:
        code = "bad-result" if fault.code == "not-json" else fault.code
        faults.append(Fault(code, fault.message, fault.severity, fault.offset, place))
    broken = any(fault.code == "not-json" for fault in found)
    return Result(None, content, call_id) if broken else Result(value, None, call_id)


def _standard_id(number: int) -> str:
    return f"call{number:05d}"


def to_text_row(example: Example) -> dict:
    """The row in the text form; ids of calls are not part of it. ValueError for parts that text cannot hold."""
    conversations = [
        {"role": turn.role, "content": print_text(turn.parts) if turn.role == "assistant" else turn.text}
        for turn in example.turns
    ]
    return _row(example, "conversations", conversations)


def to_native_row(example: Example) -> dict:
    """The row in the native form: arguments and results as JSON text."""
    return _row(example, "messages", _messages(example, as_text=True))


def native_messages(example: Example) -> list[dict]:
    """The native messages with arguments as objects, as chat templates want them."""
    return _messages(example, as_text=False)


def _row(example: Example, key: str, turns: list[dict]) -> dict:
    row: dict = {key: turns}
    if example.tools is not None:
        row["tools"] = list(example.tools)
    if example.label is not None:
        row["label"] = example.label
    return row | example.extra


def _messages(example: Example, as_text: bool) -> list[dict]:
    messages: list[dict] = []
    calls: list[Call] = []
    results = 0
    for turn in example.turns:
        if turn.role != "assistant":
            messages.append({"role": turn.role, "content": turn.text})
            continue
        current: dict | None = None
        for part in turn.parts:
            if isinstance(part, Result):
                results += 1
                messages.append(_tool_message(part, results, calls))
                current = None
                continue
            if current is None or (isinstance(part, Text) and (current["content"] or "tool_calls" in current)):
                current = {"role": "assistant", "content": ""}
                messages.append(current)
            if isinstance(part, Text):
                current["content"] = part.text
                continue
            calls.append(part)
            arguments = part.arguments if part.raw is None else part.raw
            if as_text and part.raw is None:
                arguments = dump_arguments(arguments)
            function = {"name": part.name, "arguments": arguments}
            call = {"id": part.id or _standard_id(len(calls)), "type": "function", "function": function}
            current.setdefault("tool_calls", []).append(call)
        if not turn.parts:
            messages.append({"role": "assistant", "content": ""})
    return messages


def _tool_message(result: Result, number: int, calls: list[Call]) -> dict:
    """The message of the number-th result; a result without an id answers the call of the same number."""
    call_id = result.id or _standard_id(number)
    if not result.id and number <= len(calls):
        call_id = calls[number - 1].id or call_id
    content = dump_arguments(result.content) if result.raw is None else result.raw
    return {"role": "tool", "tool_call_id": call_id, "content": content}
