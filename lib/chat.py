"""Examples: conversations with tool calls, read from both dataset forms and written back without loss.

Text form:    {"conversations": [{"role", "content"}, ...], "label": true}, calls inside the assistant's text
Native form:  {"messages": [...], "tools": [...], "label": true}, OpenAI-style tool_calls and role "tool" results

An assistant turn in memory holds everything up to the next user message: its words, calls and their results.
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
from lib.json_text import shown
from lib.messages import native_turns, note_unknown_keys, read_message, to_messages

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
    """A conversation, its label (None: unlabelled), its own tool list if it has one, and further row keys.

    family: the name that rows asking the same in other words share, once lib.held_out has given it.
    """

    turns: tuple[Turn, ...]
    label: bool | None = None
    tools: tuple[dict, ...] | None = None
    extra: dict = field(default_factory=dict)
    family: str = field(default="", compare=False)

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
    turns = [Turn(*turn) for turn in native_turns(entries, faults)] if native else _text_turns(entries, faults)
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
        message = read_message(entry, number, TEXT_ROLES, faults)
        if message is None:
            continue
        role, content = message
        if len(entry) > 2:
            note_unknown_keys(entry, ("role", "content"), number, faults)
        if role != "assistant":
            turns.append(Turn(role, (Text(content),) if content else ()))
            continue
        parts, found = parse_text(content)
        if found:
            faults += _placed(found, content, number)
        turns.append(Turn("assistant", parts))
    return turns


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


def to_text_row(example: Example) -> dict:
    """The row in the text form; ids of calls are not part of it. ValueError for parts that text cannot hold."""
    conversations = [
        {"role": turn.role, "content": print_text(turn.parts) if turn.role == "assistant" else turn.text}
        for turn in example.turns
    ]
    return _row(example, "conversations", conversations)


def to_native_row(example: Example) -> dict:
    """The row in the native form: arguments and results as JSON text."""
    return _row(example, "messages", to_messages(example.turns, as_text=True))


def native_messages(example: Example) -> list[dict]:
    """The native messages with arguments as objects, as chat templates want them."""
    return to_messages(example.turns, as_text=False)


def _row(example: Example, key: str, turns: list[dict]) -> dict:
    row: dict = {key: turns}
    if example.tools is not None:
        row["tools"] = list(example.tools)
    if example.label is not None:
        row["label"] = example.label
    return row | example.extra
