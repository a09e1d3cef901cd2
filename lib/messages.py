"""The native form: OpenAI-style messages with tool_calls and role "tool" results, read and written.

Ids are kept. A call without one is written with call00001, call00002, ... (nine characters: Mistral's template takes
no other length), and these stand for "no id" when read.
"""

import re
from typing import Any

from lib.call_text import Call, Fault, Part, Result, Text, dump_arguments
from lib.json_text import read_json, shown

SHORT_ID = re.compile(r"[A-Za-z0-9]{9}")
MESSAGE_KEYS = {
    "system": {"role", "content"},
    "user": {"role", "content"},
    "assistant": {"role", "content", "tool_calls"},
    "tool": {"role", "content", "tool_call_id", "name"},
}


def read_message(entry: Any, number: int, roles: tuple[str, ...], faults: list[Fault]) -> tuple[str, str] | None:
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


def note_unknown_keys(entry: dict, known, number: int, faults: list[Fault]) -> None:
    for name in entry:
        if name not in known:
            message = f"the turn has an unknown key {shown(name)}"
            faults.append(Fault("unknown-key", message, "warning", place=f"turn {number}"))


def native_turns(entries: list, faults: list[Fault]) -> list[tuple[str, tuple[Part, ...]]]:
    """(role, parts) of every turn; an assistant turn goes on through tool messages to the words after them."""
    turns: list[tuple[str, list[Part]]] = []
    calls = 0  # in the whole conversation: the number in the standard ids
    waiting: list[str] = []  # ids of the calls that no result has answered yet
    open_turn = False  # whether the last turn may go on: it called
    for number, entry in enumerate(entries, start=1):
        message = read_message(entry, number, tuple(MESSAGE_KEYS), faults)
        if message is None:
            continue
        role, content = message
        note_unknown_keys(entry, MESSAGE_KEYS[role], number, faults)
        if role == "tool":
            result = _result(entry, content, number, waiting, faults)
            if open_turn:
                turns[-1][1].append(result)
            continue
        parts: list[Part] = [Text(content)] if content else []
        if parts or role != "assistant":
            waiting.clear()
        if role == "assistant":
            found = _calls(entry, number, calls, waiting, faults)
            calls += len(found)
            parts += found
            if not content.strip() and not found and open_turn:
                faults.append(Fault("empty-answer", "the assistant says nothing", place=f"turn {number}"))
        if role == "assistant" and open_turn:
            turns[-1][1].extend(parts)
        else:
            turns.append((role, parts))
        open_turn = role == "assistant" and bool(entry.get("tool_calls"))
    return [(role, tuple(parts)) for role, parts in turns]


def _calls(entry: dict, number: int, before: int, waiting: list[str], faults: list[Fault]) -> list[Part]:
    """The calls of one assistant message, their ids added to `waiting`; `before` calls stand earlier."""
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
        arguments, raw = _arguments(function.get("arguments", {}), place, faults)
        call_id, standard = item.get("id", ""), standard_id(before + len(calls) + 1)
        if type(call_id) is not str:
            faults.append(Fault("bad-call", "the id of a call must be text", place=place))
            call_id = ""
        waiting.append(call_id or standard)
        calls.append(Call(function["name"], arguments, "" if call_id == standard else call_id, raw))
    return calls


def _arguments(written: Any, place: str, faults: list[Fault]) -> tuple[dict, str | None]:
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


def _result(entry: dict, content: str, number: int, waiting: list[str], faults: list[Fault]) -> Result:
    """The result in a tool message; its id is kept only when it does not answer the oldest waiting call."""
    place = f"turn {number}"
    call_id = entry.get("tool_call_id", "")
    if type(call_id) is not str:
        faults.append(Fault("bad-result", "tool_call_id must be text", place=place))
        call_id = ""
    if waiting and call_id in ("", waiting[0]):
        call_id = ""
        waiting.pop(0)
    elif call_id in waiting:
        waiting.remove(call_id)
    else:
        faults.append(Fault("stray-result", f"the tool message answers no open call ({shown(call_id)})", place=place))
    value, found = read_json(content)
    for fault in found:
        code = "bad-result" if fault.code == "not-json" else fault.code
        where = f"{place}, character {fault.offset + 1}"
        faults.append(Fault(code, fault.message, fault.severity, fault.offset, where))
    broken = any(fault.code == "not-json" for fault in found)
    return Result(None, content, call_id) if broken else Result(value, None, call_id)


def standard_id(number: int) -> str:
    """The id of a conversation's number-th call when it has none of its own."""
    return f"call{number:05d}"


def with_short_ids(messages: list[dict]) -> list[dict]:
    """The messages with call ids of nine letters and digits, the only ones that Mistral's templates take."""
    changed: dict[str, str] = {}
    for call in (call for message in messages for call in message.get("tool_calls") or ()):
        if not SHORT_ID.fullmatch(call["id"]):
            changed[call["id"]] = standard_id(len(changed) + 1)
    if not changed:
        return messages
    found = []
    for message in messages:
        if "tool_call_id" in message:
            message = message | {"tool_call_id": changed.get(message["tool_call_id"], message["tool_call_id"])}
        if "tool_calls" in message:
            calls = [call | {"id": changed.get(call["id"], call["id"])} for call in message["tool_calls"]]
            message = message | {"tool_calls": calls}
        found.append(message)
    return found


def to_messages(turns, as_text: bool) -> list[dict]:
    """The messages of turns; arguments as JSON text or as objects."""
    messages: list[dict] = []
    calls = 0
    waiting: list[str] = []
    for turn in turns:
        if turn.role != "assistant":
            waiting.clear()
        if turn.role != "assistant" or not turn.parts:
            messages.append({"role": turn.role, "content": turn.text})
            continue
        current: dict | None = None
        for part in turn.parts:
            if isinstance(part, Result):
                messages.append(_tool_message(part, waiting, calls))
                current = None
                continue
            if current is None or (isinstance(part, Text) and (current["content"] or "tool_calls" in current)):
                current = {"role": "assistant", "content": ""}
                messages.append(current)
            if isinstance(part, Text):
                current["content"] = part.text
                waiting.clear()
                continue
            calls += 1
            call_id = part.id or standard_id(calls)
            waiting.append(call_id)
            function = {"name": part.name, "arguments": _written(part, as_text)}
            current.setdefault("tool_calls", []).append({"id": call_id, "type": "function", "function": function})
    return messages


def _written(call: Call, as_text: bool) -> str | dict:
    if call.raw is not None:
        return call.raw
    return dump_arguments(call.arguments) if as_text else call.arguments


def _tool_message(result: Result, waiting: list[str], calls: int) -> dict:
    """The message of a result; without an id of its own it answers the oldest waiting call."""
    call_id = result.id or (waiting[0] if waiting else standard_id(calls))
    if call_id in waiting:
        waiting.remove(call_id)
    content = dump_arguments(result.content) if result.raw is None else result.raw
    return {"role": "tool", "tool_call_id": call_id, "content": content}
