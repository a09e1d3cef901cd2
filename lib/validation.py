"""The rules of a dataset: from bytes to problems with a line, a fixed code and a sentence.

Severity says what a problem means: an "error" makes its row invalid; a "warning" is worth a look; "info" is a broken
tool rule in a row labelled false, which is what such rows are for. Structure is never excused.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from lib.chat import Call, Example, Fault, Result, Text, example_from_row
from lib.clean_rows import clean_row
from lib.json_text import read_json
from lib.toolset import Toolset

CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ufffd]")
ALTERNATING = ["user", "assistant"]


class Problem(NamedTuple):
    """One fault of one row: JSONL line from 1, stable code, sentence, error | warning | info."""

    line: int
    code: str
    message: str
    severity: str = "error"


@dataclass
class ChunkReport:
    """What a run of lines holds; line numbers are absolute."""

    lines: int = 0  # blank ones included
    examples: int = 0  # rows that are JSON objects
    valid: int = 0  # of them, rows without an error
    true: int = 0
    false: int = 0
    row_like: int = 0  # unreadable lines that look like a row
    crlf_line: int = 0  # the first line that ends in CRLF, 0 for none
    problems: list[Problem] = field(default_factory=list)


def check_lines(lines: list[bytes], first_line: int, toolset: Toolset) -> ChunkReport:
    """The report on lines of a JSONL file, the first of which has the number first_line."""
    report = ChunkReport(lines=len(lines))
    clean_labels: list[bool | None] = []
    for number, line in enumerate(lines, start=first_line):
        row = clean_row(line, toolset)
        if row is not None:
            clean_labels.append(row.get("label"))
        elif line := line.strip(b" \t\r\n"):
            _check_line(line, number, toolset, report)
    report.examples += len(clean_labels)
    report.valid += len(clean_labels)
    report.true += clean_labels.count(True)
    report.false += clean_labels.count(False)
    return report


def _check_line(line: bytes, number: int, toolset: Toolset, report: ChunkReport) -> None:
    """Apply every rule to one line and note what comes out."""
    row, faults = read_line(line)
    if row is None:
        report.row_like += line.startswith(b"{") and len(line) > 1
    else:
        report.examples += 1
        example, problems = check_row(row, toolset)
        faults += problems
        report.true += example.label is True
        report.false += example.label is False
        report.valid += not any(fault.severity == "error" for fault in faults)
    report.problems += [Problem(number, fault.code, _message(fault), fault.severity) for fault in faults]


def read_line(line: bytes) -> tuple[dict | None, list[Fault]]:
    """(row, faults) of one line; the row is None when it is no JSON object."""
    try:
        text = line.decode()
    except UnicodeDecodeError as error:
        message = f"byte {error.start + 1} (0x{line[error.start]:02x}) is not UTF-8"
        return None, [Fault("bad-encoding", message)]
    row, found = read_json(text)
    faults = []
    for fault in found:
        code = "not-jsonl" if fault.code == "not-json" else fault.code
        faults.append(Fault(code, fault.message, fault.severity, place=f"column {fault.offset + 1}"))
    if type(row) is dict:
        return row, faults
    if not any(fault.code == "not-jsonl" for fault in faults):
        faults.append(Fault("not-jsonl", f"a JSON {type(row).__name__}, not an object; each line must hold one"))
    return None, faults


def check_row(row: Any, toolset: Toolset) -> tuple[Example, list[Fault]]:
    """(example, faults) of one row."""
    example, faults = example_from_row(row)
    if not faults or not any(fault.code in ("bad-row", "bad-turn", "unknown-role", "bad-content") for fault in faults):
        faults += order_rules(example)
    excused = example.label is False
    for number, turn in enumerate(example.turns, start=1):
        faults += missing_results(turn.parts, number)
        calls = 0
        for part in turn.parts:
            kind = type(part)
            if kind is Call:
                calls += 1
                if part.raw is None:
                    findings = toolset.check(part.name, part.arguments)
                    if findings:
                        faults += _call_faults(findings, part, number, calls, excused)
                    faults += control_characters_in(part.arguments, f"turn {number}, call {calls}")
            elif kind is Result:
                if part.raw is None:
                    problem = result_problem(part.content)
                    if problem:
                        faults.append(Fault("bad-result", problem, place=f"turn {number}, result {calls}"))
            else:
                faults += control_characters(part.text, number)
    return example, faults


def _call_faults(findings, call: Call, turn: int, number: int, excused: bool) -> Iterator[Fault]:
    for finding in findings:
        severity = "info" if excused else finding.severity
        place = f"turn {turn}, call {number}"
        message = f"{call.name}: {finding.message}" if finding.code != "unknown-tool" else finding.message
        yield Fault(finding.code, message, severity, place=place)


def order_rules(example: Example) -> list[Fault]:
    """Faults of who speaks when: an optional system message, then user and assistant in turn, the assistant last."""
    turns = example.turns
    roles = [turn.role for turn in turns]
    faults = []
    if roles != ALTERNATING:
        first = 1 if roles[:1] == ["system"] else 0
        for index in range(first, len(roles)):
            expected = ALTERNATING[(index - first) % 2]
            if roles[index] != expected:
                message = f"the turn is the {roles[index]}'s where the {expected}'s should be"
                faults.append(Fault("bad-order", message, place=f"turn {index + 1}"))
                break
        else:
            if roles[-1] != "assistant":
                faults.append(Fault("bad-order", f"the last turn is the {roles[-1]}'s; the assistant must answer"))
    for number, turn in enumerate(turns, start=1):
        if not turn.parts or (len(turn.parts) == 1 and type(turn.parts[0]) is Text and not turn.parts[0].text.strip()):
            code = "empty-answer" if turn.role == "assistant" else "empty-prompt"
            faults.append(Fault(code, f"the {turn.role} says nothing", place=f"turn {number}"))
    return faults


def missing_results(parts: tuple, turn: int) -> list[Fault]:
    """A fault for every stretch of calls that lacks a result. Only calls that end the turn may all go unanswered."""
    faults = []
    stretch: list[type] = []
    for kind in [*map(type, parts), None]:
        if kind is Call or kind is Result:
            stretch.append(kind)
            continue
        while kind is None and stretch and stretch[-1] is Call:
            stretch.pop()
        calls, results = stretch.count(Call), stretch.count(Result)
        if results < calls:
            said = f"{calls} calls have {results} results" if calls > 1 else "a call has no result"
            end = "the turn ends" if kind is None else "words follow"
            faults.append(Fault("missing-result", f"{said} before {end}", place=f"turn {turn}"))
        stretch.clear()
    return faults


def result_problem(content: Any) -> str | None:
    """Why a tool result has the wrong shape, or None: an object with a true success, or false and an error text."""
    if type(content) is not dict:
        return f"the result is a JSON {type(content).__name__}, not an object"
    success = content.get("success")
    if success is True:
        return None
    if success is False:
        error = content.get("error")
        if type(error) is str and error.strip():
            return None
        return "the result has success false but no error text"
    if "success" not in content:
        return "the result has no success"
    return f"the result's success is {success!r:.40}, neither true nor false"


def control_characters(text: str, turn: int) -> list[Fault]:
    """A warning for the first stray control character of a text."""
    match = stray_character(text)
    if not match:
        return []
    message = f"stray character U+{ord(match[0]):04X} at character {match.start() + 1} of the words"
    return [Fault("control-character", message, "warning", place=f"turn {turn}")]


def stray_character(text: str) -> re.Match | None:
    """The first control character that no text should hold, if there is one."""
    return None if text.isprintable() and "\ufffd" not in text else CONTROL.search(text)


def control_characters_in(arguments: dict, place: str) -> list[Fault]:
    """A warning for the first text of a call's arguments with a stray control character."""
    match = next(filter(None, map(stray_character, texts_in(arguments))), None)
    if not match:
        return []
    return [
        Fault("control-character", f"stray character U+{ord(match[0]):04X} in the arguments", "warning", place=place)
    ]


def texts_in(value: Any) -> Iterator[str]:
    """Every string inside a JSON value but the keys."""
    for item in value.values() if type(value) is dict else value:
        if type(item) is str:
            yield item
        elif type(item) is dict or type(item) is list:
            yield from texts_in(item)


def _message(fault: Fault) -> str:
    return f"{fault.place}: {fault.message}" if fault.place else fault.message
