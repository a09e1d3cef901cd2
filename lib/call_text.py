"""The text form of an assistant turn: calls, results and words, read with exact positions and printed again.

    words

    tool_call: NAME
    arguments: {JSON}

    Result: {JSON}

    closing words

A call starts where a line starts with "tool_call:" and the next with "arguments:"; a result directly follows a call.
What is read from printed parts equals the parts. Other spacing (indentation, one line break instead of two, raw line
breaks inside JSON strings) is read too, and printed in the form above.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from lib.json_text import SPACES, JsonFault, dump_json, read_json, read_json_prefix, shown

CALL, ARGUMENTS, RESULT = "tool_call:", "arguments:", "Result:"
STRAY = re.compile(r"(?:(^[ \t]*))?(tool_call:|Result:)(?=([^\n]{0,200}\n[ \t]*arguments:)?)", re.MULTILINE)
SEPARATOR = re.compile(r"(?:[ \t\r]*\n){0,2}")
SEPARATORS_BEFORE = ("\n\n", "\r\n\r\n", "\r\n", "\n", "")


@dataclass(frozen=True, slots=True)
class Text:
    """Words of the assistant (or a whole user or system message)."""

    text: str


@dataclass(frozen=True, slots=True)
class Call:
    """One tool call; raw keeps the arguments as written when they are no JSON object (arguments is then {})."""

    name: str
    arguments: dict
    id: str = ""
    raw: str | None = None


@dataclass(frozen=True, slots=True)
class Result:
    """What the tool answered; raw keeps it as written when it is no JSON (content is then None)."""

    content: Any
    raw: str | None = None
    id: str = ""


Part = Text | Call | Result


@dataclass(frozen=True, slots=True)
class Fault:
    """Something wrong with an example: fixed code, sentence, and where (turn and position, or offset in a text)."""

    code: str
    message: str
    severity: str = "error"
    offset: int = 0
    place: str = ""


def dump_arguments(arguments: Any) -> str:
    """Arguments or a result as the JSON that stands in text: readable characters kept, ", " and ": " between parts."""
    return dump_json(arguments)


def print_text(parts: Iterable[Part]) -> str:
    """The text form of an assistant turn; ValueError for parts that would not be read back as they are."""
    blocks: list[str] = []
    pending = 0
    after_call = False
    for part in parts:
        if isinstance(part, Call):
            if not part.name or part.name != part.name.strip() or "\n" in part.name:
                raise ValueError(f"a tool name must be one line without blanks around it, not {part.name!r}")
            written = dump_arguments(part.arguments) if part.raw is None else part.raw
            blocks.append(f"{CALL} {part.name}\n{ARGUMENTS} {written}")
            pending, after_call = pending + 1, True
        elif isinstance(part, Result):
            if not pending or not after_call:
                raise ValueError("a result must follow its call in the text form")
            blocks.append(f"{RESULT} {dump_arguments(part.content) if part.raw is None else part.raw}")
            pending -= 1
        elif part.text.strip():
            if pending and after_call and part.text.lstrip().startswith(RESULT):
                raise ValueError(f"words after a call must not start with {RESULT!r} in the text form")
            if _find_call(part.text, 0)[1] >= 0:
                raise ValueError(f"words must not hold a line that starts with {CALL!r} in the text form")
            blocks.append(part.text)
            pending, after_call = 0, False
    return "\n\n".join(blocks)


def parse_text(text: str) -> tuple[tuple[Part, ...], list[Fault]]:
    """(parts, faults) of an assistant turn in the text form; fault offsets count characters of text."""
    reader = _Reader(text)
    reader.read()
    return tuple(reader.parts), reader.faults


def _find_call(text: str, start: int) -> tuple[int, int, int]:
    """(start of its line, start of its arguments, offset of "tool_call:") of the next call, or (-1, -1, -1)."""
    at = text.find(CALL, start)
    while at >= 0:
        line = at
        while line > 0 and text[line - 1] in " \t":
            line -= 1
        if line == 0 or text[line - 1] == "\n":
            end = text.find("\n", at)
            if end >= 0:
                if text.startswith("arguments: {", end + 1):
                    return line, end + 12, at
                word = SPACES.match(text, end + 1).end()
                if text.startswith(ARGUMENTS, word) and "\n" not in text[end + 1 : word]:
                    return line, _value_start(text, word + len(ARGUMENTS)), at
        at = text.find(CALL, at + len(CALL))
    return -1, -1, -1


def _value_start(text: str, position: int) -> int:
    """Where the JSON after a marker starts: on its line, or on a later one if that starts an object."""
    later = SPACES.match(text, position).end()
    if text.startswith("{", later):
        return later
    line_end = text.find("\n", position, later)
    return later if line_end < 0 else line_end


class _Reader:
    """Reads one text from left to right; every character is looked at a fixed number of times."""

    def __init__(self, text: str):
        self.text = text
        self.parts: list[Part] = []
        self.faults: list[Fault] = []
        self.pending = 0  # calls whose result has not come yet

    def read(self) -> None:
        text, position = self.text, 0
        line, arguments, at = _find_call(text, 0)
        while line >= 0:
            if line > position:
                self.add_words(position, line)
            following = _find_call(text, arguments)
            limit = following[0] if following[0] >= 0 else len(text)
            position = self.add_call(at, arguments, limit)
            while self.pending:
                start = SPACES.match(text, position).end()
                if not text.startswith(RESULT, start) or "\n" not in text[position:start]:
                    break
                position = self.add_result(start + len(RESULT), limit)
            line, arguments, at = following
        if position < len(text):
            self.add_words(position, len(text))

    def add_words(self, start: int, end: int) -> None:
        words = self.text[start:end]
        if not words.strip():
            return
        if start > 0:
            words = words[SEPARATOR.match(words).end() :]
        if end < len(self.text):
            words = words.removesuffix(next(mark for mark in SEPARATORS_BEFORE if words.endswith(mark)))
        self.parts.append(Text(words))
        self.pending = 0
        if CALL in words or RESULT in words:
            self.note_strays(start, end)

    def note_strays(self, start: int, end: int) -> None:
        """Report what looks like a call or a result in plain words and was not read as one."""
        for match in STRAY.finditer(self.text, start, end):
            at_line_start, word, arguments_follow = match[1] is not None, match[2], match[3] is not None
            if word == CALL and arguments_follow:
                self.fault("bad-call", f'"{CALL}" does not start its line; the call is read as words', match.start(2))
            elif word == CALL and at_line_start:
                self.fault("bad-call", f'a line starts with "{CALL}" but no "{ARGUMENTS}" line follows', match.start(2))
            elif word == RESULT and at_line_start:
                self.fault("stray-result", f'"{RESULT}" without a call before it is read as words', match.start(2))

    def add_call(self, at: int, start: int, limit: int) -> int:
        name = self.text[at + len(CALL) : self.text.index("\n", at)].strip()
        if not name:
            self.fault("bad-call", "the call names no tool", at)
        value, end, raw = self.read_value(start, limit, "not-json")
        if raw is None and type(value) is not dict:
            self.fault(
                "not-json", f"the arguments of {shown(name)} are no JSON object but a {type(value).__name__}", start
            )
            raw = self.text[start:end].rstrip()
        self.parts.append(Call(name, value if raw is None else {}, "", raw))
        self.pending += 1
        return end

    def add_result(self, start: int, limit: int) -> int:
        start = _value_start(self.text, start)
        following = self.text.find(f"\n{RESULT}", start, limit)
        limit = limit if following < 0 else following
        value, end, raw = self.read_value(start, limit, "bad-result")
        self.parts.append(Result(value if raw is None else None, raw))
        self.pending -= 1
        return end

    def read_value(self, start: int, limit: int, code: str) -> tuple[Any, int, str | None]:
        """(value, end, None), or (None, end, the text as written) when it is no JSON; faults are noted."""
        text = self.text
        end = text.find("\n", start, limit)
        if end < 0:
            end = limit
        line = text[start:end]
        value, faults = read_json(line)
        if not faults:
            return value, end, None
        if any(fault.code == "not-json" for fault in faults):
            # Not on one line: perhaps a raw line break inside a string. Look as far as the next call.
            segment = text[start:limit]
            value, length, faults = read_json_prefix(segment)
            rest = segment[length : segment.find("\n", length) if "\n" in segment[length:] else None]
            if any(fault.code == "not-json" for fault in faults):
                end = start + _end_of_broken(segment)
            elif rest.strip():
                faults = [JsonFault("not-json", f"unexpected text after the JSON: {ascii(rest.strip()[:20])}", length)]
                end = start + length + len(rest)
            else:
                end = start + length
        self.faults += [
            Fault(code if f.code == "not-json" else f.code, f.message, f.severity, start + f.offset) for f in faults
        ]
        broken = any(fault.code == "not-json" for fault in faults)
        return (None, end, text[start:end].rstrip()) if broken else (value, end, None)

    def fault(self, code: str, message: str, offset: int, severity: str = "error") -> None:
        self.faults.append(Fault(code, message, severity, offset))


def _end_of_broken(segment: str) -> int:
    """Where broken JSON ends: before its result or an empty line, whichever comes first."""
    ends = [at for at in (segment.find("\n\n"), segment.find(f"\n{RESULT}")) if at >= 0]
    return min(ends, default=len(segment))
