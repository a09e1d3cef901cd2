"""Faults of the JSON in a row: arguments and results that are broken, ambiguous, or of another shape."""

import json
from collections.abc import Iterator

from lib.chat import Call, Example, Result
from lib.json_text import dump_json
from lib.mutants.seeds import Seed, lines_of

DEEP = 300  # levels, more than any JSON reader here takes
CONTROL = "\x01"


def inside(written: str, more: str) -> str:
    """The JSON object with further members at its end."""
    return f"{written[:-1]}, {more}}}"


def nested(opening: str, closing: str) -> str:
    return opening * DEEP + "1" + closing * DEEP


def arguments_truncated(seed: Seed) -> Iterator[Example]:
    written = seed.written
    yield from seed.with_written(written[:-1], written[: len(written) // 2], written[:1], written.rsplit(",", 1)[0], "")


def arguments_not_json(seed: Seed, kind: str) -> Iterator[Example]:
    written = seed.written
    texts = {
        "trailing comma": [f"{written[:-1]},}}", written.replace("}", ",}", 1)],
        "not a number": [inside(written, f'"x": {word}') for word in ("NaN", "Infinity", "-Infinity", "1e999")],
        "no double quotes": [repr(seed.arguments), written.replace('"context"', "context", 1), "context=..."],
        "comment": [f"{written[:-1]} /* all */}}", f"{written} // all"],
        "text after": [f"{written}}}", f"{written} {written}", f"{written} done"],
        "text": [dump_json(written), dump_json("some words")],
        "other type": [f"[{written}]", "null", "[]", "7", "true"],
        "deep nesting": [inside(written, f'"x": {nested(*pair)}') for pair in (('{"x": ', "}"), ("[", "]"))],
    }
    yield from seed.with_written(*texts[kind])


def duplicate_key(seed: Seed, kind: str) -> Iterator[Example]:
    written, result = seed.written, dump_json(seed.result)
    context = '"context": {'
    if kind == "result":
        yield from seed.with_result(inside(result, '"success": true'), inside(result, '"a": {"b": 1, "b": 1}'))
        return
    texts = {
        "arguments": [inside(written, f'"context": {dump_json(seed.arguments["context"])}'),
                      inside(written, '"\\u0063ontext": 1'), inside(written, '"x": [{"a": 1, "a": 1}]')],
        "context": [written.replace(context, f'{context}"subgoal": "x", ', 1),
                    written.replace(context, f'{context}"\\u0073ubgoal": "x", ', 1)],
    }  # fmt: skip
    yield from seed.with_written(*texts[kind])


def raw_control(seed: Seed) -> Iterator[Example]:
    """A control character as it is, where JSON wants an escape."""
    for char in (CONTROL, "\x1f", "\n"):
        yield from seed.with_written(seed.written.replace('": "', f'": "x{char}', 1))
        yield from seed.with_result(inside(dump_json(seed.result), f'"x": "x{char}"'))


def half_character(seed: Seed) -> Iterator[Example]:
    for half in ("\\ud83d", "\\udc00"):
        yield from seed.with_written(seed.written.replace('": "', f'": "{half}', 1))
        yield from seed.with_result(inside(dump_json(seed.result), f'"x": "{half}"'))


def result_shape(seed: Seed, kind: str) -> Iterator[Example]:
    result, written = seed.result, dump_json(seed.result)
    rest = {name: value for name, value in result.items() if name != "success"}
    failed = {"sessionId": result.get("sessionId"), "success": False}
    texts = {
        "truncated": [written[:-1], written[: len(written) // 2], "{", ""],
        "list": [[result], [], [True]],
        "prose": ["it worked", "success: true", f"{written} as wanted"],
        "other type": ["true", "null", "7", dump_json("ok"), dump_json(written)],
        "no success": [rest, {}, {"ok": True}, {"Success": True, **rest}],
        "success no bool": [{**result, "success": value} for value in ("true", 1, 0, None, [], "false")],
        "failed without error": [failed, {**failed, "message": "no"}],
        "error no text": [{**failed, "error": value} for value in ("", " \n", None, 404, ["no"], {"code": 1})],
        "no JSON": [repr(result), inside(written, '"x": NaN'), f"{written[:-1]},}}", f"{written}}}"],
        "deep nesting": [inside(written, f'"x": {nested("[", "]")}')],
    }
    yield from seed.with_result(*(text if isinstance(text, str) else dump_json(text) for text in texts[kind]))


# ---------------------------------------------------------------- which result belongs to which call


def result_missing(seed: Seed) -> Iterator[Example]:
    """The call stays without an answer, and words follow."""
    yield seed.answered(*seed.parts[: seed.part + 1], *seed.parts[seed.part + 2 :])


def result_shared(seed: Seed) -> Iterator[Example]:
    """Two calls, then one result."""
    before, call, rest = seed.parts[: seed.part], seed.call, seed.parts[seed.part + 1 :]
    yield seed.answered(*before, call, call, *rest)
    yield seed.answered(*before, call, call, rest[0])


def result_first(seed: Seed) -> Iterator[bytes]:
    """The result stands before its call."""
    text, native = seed.rows()
    call, result = block(seed.call), block(seed.parts[seed.part + 1])
    said = text["conversations"][-1]
    said["content"] = said["content"].replace(f"{call}\n\n{result}", f"{result}\n\n{call}", 1)
    yield from lines_of(text)
    messages = native["messages"]
    at = next(i for i, message in enumerate(messages) if message["role"] == "tool")
    messages[at - 1], messages[at] = messages[at], messages[at - 1]
    yield from lines_of(native)


def result_twice(seed: Seed) -> Iterator[bytes]:
    """One call, then its result two times over."""
    text, native = seed.rows()
    result = block(seed.parts[seed.part + 1])
    said = text["conversations"][-1]
    said["content"] = said["content"].replace(result, f"{result}\n\n{result}", 1)
    yield from lines_of(text)
    messages = native["messages"]
    at = next(i for i, message in enumerate(messages) if message["role"] == "tool")
    yield from lines_of({**native, "messages": [*messages[: at + 1], messages[at], *messages[at + 1 :]]})


def result_of_no_call(seed: Seed) -> Iterator[bytes]:
    """A tool message with another id; a result where nothing was called."""
    text, native = seed.rows()
    for wrong in ("call00099", "x"):
        messages = json.loads(json.dumps(native["messages"]))
        next(message for message in messages if message["role"] == "tool")["tool_call_id"] = wrong
        yield from lines_of({**native, "messages": messages})
    text["conversations"][-1]["content"] = f"Done.\n\nResult: {dump_json(seed.result)}"
    yield from lines_of(text)


def call_broken(seed: Seed) -> Iterator[bytes]:
    """A call that is none: not at the start of its line, without name or arguments, or in no list."""
    text, native = seed.rows()
    said, call = text["conversations"][-1], block(seed.call)
    name, arguments = call.split("\n", 1)
    content = said["content"]
    for wrong in (f"Sure: {call}", f"> {call}", f"{name}", f"{name}\n\n{arguments}", f"tool_call:\n{arguments}"):
        said["content"] = content.replace(call, wrong, 1)
        yield from lines_of(text)
    at = next(i for i, message in enumerate(native["messages"]) if "tool_calls" in message)
    calls = native["messages"][at]["tool_calls"]
    item = calls[0]
    for wrong in ({}, item, "x", [item["function"]], [{**item, "function": None}], [{**item, "id": 7}], ["x"]):
        messages = [*native["messages"][:at], {**native["messages"][at], "tool_calls": wrong}]
        yield from lines_of({**native, "messages": [*messages, *native["messages"][at + 1 :]]})


def block(part: Call | Result) -> str:
    """The call or result as it stands in the text form."""
    if isinstance(part, Result):
        return f"Result: {dump_json(part.content)}"
    return f"tool_call: {part.name}\narguments: {dump_json(part.arguments)}"
