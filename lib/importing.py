"""Rows of other people's formats as Examples: each row is read, or rejected with a code; none is dropped in silence.

What each format looks like stands at its function. A row's format is found by its keys and roles alone.
"""

import json
import re
from collections.abc import Iterator
from typing import Any

from lib.chat import Call, Example, Result, Text, Turn, example_from_row
from lib.errors import CannotRun
from lib.json_text import read_json
from lib.jsonl import read_rows
from lib.python_calls import read_calls

ROLES = {
    "system": "system", "human": "user", "user": "user",
    "gpt": "assistant", "assistant": "assistant", "model": "assistant", "function_call": "call", "tool_call": "call",
    "observation": "result", "function_response": "result", "tool": "result", "function": "result",
}  # fmt: skip
HERMES_CALL = re.compile(r"<tool_call>\s*(.*?)\s*</tool_call>", re.DOTALL)
HERMES_RESULT = re.compile(r"<tool_response>\s*(.*?)\s*</tool_response>", re.DOTALL)
GLAIVE_TURN = re.compile(r"^(USER|ASSISTANT|FUNCTION RESPONSE|SYSTEM):[ \t]*", re.MULTILINE)
GLAIVE_CALL = "<functioncall>"


class Rejected(Exception):
    """Why a row is no example: a fixed code and a sentence."""

    def __init__(self, code: str, message: str):
        super().__init__(message)
        self.code = code


def import_row(row: Any, answers: dict | None = None) -> tuple[str, list[Example]]:
    """(name of the format, its examples: two of a pair, one of any other row); Rejected when it cannot be read.

    answers: id -> ground truth, for BFCL's question files.
    """
    if not isinstance(row, dict):
        raise Rejected("bad-row", f"a row must be an object, not a {type(row).__name__}")
    for name, (keys, convert) in FORMATS.items():
        if all(key in row for key in keys):
            examples = convert(row, answers or {}) if name == "bfcl" else convert(row)
            for example in examples:
                check(example)
            return name, examples
    raise Rejected("unknown-format", f"no known format has the keys {', '.join(sorted(map(str, row))[:8]) or '(none)'}")


def check(example: Example) -> None:
    """Rejected when a conversation has no request or no answer."""
    roles = [turn.role for turn in example.turns]
    if "user" not in roles:
        raise Rejected("no-request", "nobody asks anything: there is no user turn")
    if roles[-1] != "assistant" or not example.turns[-1].parts:
        raise Rejected("no-answer", "the conversation does not end with an answer of the assistant")


# ---------------------------------------------------------------------------------------- pieces


def text_of(value: Any, what: str) -> str:
    if not isinstance(value, str):
        raise Rejected("bad-content", f"{what} must be text, not {type(value).__name__}")
    return value


def json_of(value: Any, what: str) -> Any:
    """The value, read when it is JSON text; duplicate keys, NaN and broken text are rejected."""
    if not isinstance(value, str):
        return value
    found, faults = read_json(value)
    if faults:
        raise Rejected("not-json", f"{what}: {faults[0].message}")
    return found


def call_of(value: Any, what: str = "the call") -> Call:
    """A Call from {"name", "arguments"}, arguments as an object or as JSON text."""
    value = json_of(value, what)
    if isinstance(value, dict) and isinstance(value.get("function"), dict):
        value = value["function"]
    name = value.get("name") if isinstance(value, dict) else None
    if not isinstance(name, str) or not name.strip():
        raise Rejected("bad-call", f"{what} must be an object with a name")
    arguments = json_of(value.get("arguments", value.get("parameters", {})), f"{what}'s arguments")
    if not isinstance(arguments, dict):
        raise Rejected("bad-call", f"{what}'s arguments must be an object")
    return Call(name.strip(), arguments)


def calls_of(value: Any, what: str) -> list[Call]:
    """The calls of one object or of a list of them."""
    value = json_of(value, what)
    return [call_of(item, what) for item in (value if isinstance(value, list) else [value])]


def result_of(text: Any) -> Result:
    """A Result, as JSON where it is JSON, else as written."""
    if not isinstance(text, str):
        return Result(text)
    value, faults = read_json(text)
    return Result(None, text) if faults else Result(value)


def tools_of(value: Any) -> tuple[dict, ...] | None:
    """A tool list as OpenAI writes it; None without one."""
    value = json_of(value, "the tool list") if value not in (None, "") else None
    if value is None:
        return None
    listed = value if isinstance(value, list) else [value]
    if not all(isinstance(tool, dict) for tool in listed):
        raise Rejected("bad-tools", "the tool list must hold objects")
    return tuple(tool if "function" in tool else {"type": "function", "function": tool} for tool in listed)


def label_of(row: dict) -> bool | None:
    label = row.get("label")
    if label is not None and not isinstance(label, bool):
        raise Rejected("bad-label", "label must be true or false")
    return label


def turns_of(pieces: Iterator[tuple[str, list]]) -> tuple[Turn, ...]:
    """Turns from (role, parts): calls, their results and the words after them are one turn of the assistant."""
    turns: list[tuple[str, list]] = []
    for role, parts in pieces:
        role = "assistant" if role in ("call", "result") else role
        if turns and turns[-1][0] == role == "assistant":
            turns[-1][1].extend(parts)
        elif parts:
            turns.append((role, list(parts)))
    if any(isinstance(parts[0], Result) for role, parts in turns if role == "assistant"):
        raise Rejected("stray-result", "a tool answers before it was called")
    return tuple(Turn(role, tuple(parts)) for role, parts in turns)


def words(text: str) -> list[Text]:
    return [Text(text.strip())] if text.strip() else []


# --------------------------------------------------------------------------------------- formats


def from_dataset(row: dict) -> list[Example]:
    """Our own two forms, which are upstream's and OpenAI's: role and content, or messages with tool_calls."""
    example, faults = example_from_row(row)
    errors = [fault for fault in faults if fault.severity == "error"]
    if errors:
        raise Rejected(errors[0].code, f"{errors[0].place}: {errors[0].message}".removeprefix(": "))
    return [example]


def from_conversations(row: dict) -> list[Example]:
    """ShareGPT turns: from and value. Calls as Glaive's function_call, Hermes' tags, or ToolACE's [name(key=value)]."""
    entries = row["conversations"]
    if isinstance(entries, list) and entries and isinstance(entries[0], dict) and "role" in entries[0]:
        return from_dataset(row)
    if not isinstance(entries, list) or not entries:
        raise Rejected("bad-row", "conversations must be a list of turns")

    def pieces():
        if isinstance(row.get("system"), str):
            yield "system", words(row["system"])
        for number, entry in enumerate(entries, 1):
            role = ROLES.get(entry.get("from") if isinstance(entry, dict) else None)
            if role is None:
                raise Rejected("unknown-role", f"turn {number} has no known speaker")
            yield role, parts_of(role, text_of(entry.get("value"), f"turn {number}"), number)

    return [Example(turns_of(pieces()), label_of(row), tools_of(row.get("tools")))]


def parts_of(role: str, value: str, number: int) -> list:
    """What one ShareGPT turn holds."""
    if role == "call":
        return calls_of(value, f"turn {number}")
    if role == "result":
        found = HERMES_RESULT.findall(value)
        return [result_of(text) for text in found or [value]]
    if role != "assistant":
        return words(value)
    if "<tool_call>" in value:
        before, *_ = value.partition("<tool_call>")
        calls = [call_of(text, f"turn {number}") for text in HERMES_CALL.findall(value)]
        if not calls or value.count("<tool_call>") != len(calls):
            raise Rejected("bad-call", f"turn {number}: a <tool_call> is not closed")
        return words(before) + calls + words(value.rpartition("</tool_call>")[2])
    if value.lstrip().startswith("[") and value.rstrip().endswith(")]"):
        try:
            return [Call(name, arguments) for name, arguments in read_calls(value.strip())]
        except ValueError as error:
            raise Rejected("bad-call", f"turn {number}: {error}") from None
    return words(value)


def from_glaive(row: dict) -> list[Example]:
    """Glaive v2: system, and chat as one text with USER:, ASSISTANT: (<functioncall> {...}) and FUNCTION RESPONSE:."""
    chat = text_of(row["chat"], "chat")
    marks = list(GLAIVE_TURN.finditer(chat))
    ends = [mark.start() for mark in marks[1:]] + [len(chat)]

    def pieces():
        yield "system", words(text_of(row["system"], "system").removeprefix("SYSTEM:"))
        for mark, end in zip(marks, ends, strict=True):
            said = chat[mark.end() : end].replace("<|endoftext|>", "").strip()
            if mark.group(1) == "ASSISTANT":
                before, called, rest = said.partition(GLAIVE_CALL)
                # Glaive writes the arguments as text in single quotes: {"name": ..., "arguments": '{...}'}
                call = re.sub(r"\"arguments\":\s*'(.*)'", r'"arguments": \1', rest, flags=re.DOTALL)
                yield "assistant", words(before) + (calls_of(call.strip(), "the call") if called else [])
            elif mark.group(1) == "FUNCTION RESPONSE":
                yield "result", [result_of(said)]
            else:
                yield mark.group(1).lower(), words(said)

    return [Example(turns_of(pieces()), label_of(row))]


def from_xlam(row: dict) -> list[Example]:
    """xLAM and APIGen: query, tools and answers, the last two often as JSON text."""
    answers = calls_of(row["answers"], "answers") if row["answers"] not in ("", "[]", []) else []
    if not answers:
        raise Rejected("no-answer", "answers is empty")
    turns = (Turn("user", (Text(text_of(row["query"], "query")),)), Turn("assistant", tuple(answers)))
    return [Example(turns, label_of(row), tools_of(row["tools"]))]


def from_pair(row: dict) -> list[Example]:
    """prompt, chosen, rejected: text or lists of messages; one row labelled true, one labelled false."""
    return [answered(row["prompt"], row[key], label) for key, label in (("chosen", True), ("rejected", False))]


def from_completion(row: dict) -> list[Example]:
    """prompt, completion and perhaps label: TRL's unpaired form, text or lists of messages."""
    return [answered(row["prompt"], row["completion"], label_of(row))]


def answered(prompt: Any, answer: Any, label: bool | None) -> Example:
    """An example of a prompt and one answer to it."""
    before = prompt if isinstance(prompt, list) else [{"role": "user", "content": text_of(prompt, "prompt")}]
    after = answer if isinstance(answer, list) else [{"role": "assistant", "content": text_of(answer, "the answer")}]
    if before and after[: len(before)] == before:  # some sets repeat the prompt in both answers
        before = []
    key = "messages" if isinstance(answer, list) or isinstance(prompt, list) else "conversations"
    row = {key: [*before, *after]}
    return from_dataset(row if label is None else {**row, "label": label})[0]


def from_bfcl(row: dict, answers: dict) -> list[Example]:
    """BFCL: id, question and function, with the ground truth of another file; the first accepted value is taken."""
    truth = row.get("ground_truth", answers.get(str(row["id"])))
    if truth is None:
        raise Rejected("no-answer", f"the answer file has no {row['id']}")
    turns = row["question"][0] if row["question"] and isinstance(row["question"][0], list) else row["question"]
    if len(row["question"]) > 1 and isinstance(row["question"][0], list):
        raise Rejected("multi-turn", "BFCL's multi-turn questions have no single answer")
    calls = [Call(name, first_accepted(given)) for item in truth for name, given in item.items()]
    asked = from_dataset({"messages": turns})[0].turns
    return [Example((*asked, Turn("assistant", tuple(calls))), None, tools_of(row["function"]))]


def first_accepted(given: dict) -> dict:
    """The first accepted value of each parameter; one that may be left out ("" first) is."""
    chosen = {key: options[0] if isinstance(options, list) and options else options for key, options in given.items()}
    inner = {key: first_accepted(value) if isinstance(value, dict) else value for key, value in chosen.items()}
    return {key: value for key, value in inner.items() if value != ""}


# Looked for in this order: the keys that a row of the format has.
FORMATS = {
    "bfcl": (("id", "question", "function"), from_bfcl),
    "xlam": (("query", "tools", "answers"), from_xlam),
    "pair": (("prompt", "chosen", "rejected"), from_pair),
    "completion": (("prompt", "completion"), from_completion),
    "glaive": (("system", "chat"), from_glaive),
    "messages": (("messages",), from_dataset),
    "conversations": (("conversations",), from_conversations),
}


def read_answers(path) -> dict[str, Any]:
    """id -> ground truth of a BFCL answer file; CannotRun names the first line that has none."""
    truths = {}
    for line, row in read_rows(path):
        if "id" not in row or "ground_truth" not in row:
            raise CannotRun(f"{path}:{line}: no answer: a line needs id and ground_truth.")
        truths[str(row["id"])] = row["ground_truth"]
    return truths


def dump_reject(line: int, rejected: Rejected) -> dict:
    """One line of the file of rejects."""
    return {"line": line, "code": rejected.code, "message": str(rejected)}


def parse_line(line: bytes) -> Any:
    """One line as JSON; Rejected when it is none."""
    try:
        return json.loads(line)
    except (ValueError, RecursionError) as error:
        raise Rejected("not-json", f"not JSON ({error})") from None
