"""Faults of a row around its calls: who speaks when, what a turn holds, the label, and the line itself."""

import copy
from collections.abc import Callable, Iterator

from lib.chat import Example
from lib.json_text import dump_json
from lib.mutants.json_faults import nested
from lib.mutants.seeds import Seed, lines_of

STRAY = ("\0", "\x07", "\b", "\x1b", "\x7f", "\x85", "\ufffd")


def key_of(row: dict) -> str:
    return "conversations" if "conversations" in row else "messages"


def changed(seed: Seed, change: Callable[[list], object]) -> Iterator[bytes]:
    """The row in both forms after change(turns), which alters them or returns others."""
    for row in seed.rows():
        turns = copy.deepcopy(row[key_of(row)])
        answer = change(turns)
        yield from lines_of({**row, key_of(row): turns if answer is None else answer})


def with_keys(seed: Seed, **changes) -> Iterator[bytes]:
    for row in seed.rows():
        yield from lines_of({**row, **changes})


def bad_label(seed: Seed) -> Iterator[bytes]:
    for label in ("true", "True", "good", 1, 0, None, [], [True], {"value": True}):
        yield from with_keys(seed, label=label)


def unknown_role(seed: Seed) -> Iterator[bytes]:
    for role in ("human", "gpt", "model", "function", "User", "assistant ", "", None, 7, ["user"]):
        yield from changed(seed, lambda turns, role=role: turns[0].update(role=role))
    yield from changed(seed, lambda turns: turns[0].pop("role") and None)
    yield from changed(seed, lambda turns: [{"from": "human", "value": turns[0]["content"]}, *turns[1:]])
    text, _ = seed.rows()
    yield from lines_of({**text, "conversations": [*text["conversations"], {"role": "tool", "content": "{}"}]})


def empty_answer(seed: Seed) -> Iterator[bytes]:
    for words in ("", " ", "\n\n", "\u3000"):
        yield from changed(seed, lambda turns, words=words: [turns[0], {"role": "assistant", "content": words}])


def empty_prompt(seed: Seed) -> Iterator[bytes]:
    for words in ("", " \n"):
        yield from changed(seed, lambda turns, words=words: turns[0].update(content=words))


def swapped_roles(seed: Seed) -> Iterator[bytes]:
    swap = {"user": "assistant", "assistant": "user"}
    yield from changed(seed, lambda turns: [{**turn, "role": swap.get(turn["role"], turn["role"])} for turn in turns])


def wrong_order(seed: Seed, kind: str) -> Iterator[bytes]:
    asked, told = {"role": "user", "content": "And then?"}, {"role": "assistant", "content": "That is all."}
    system = {"role": "system", "content": "You look after a vault."}
    orders = {
        "no user turn": [lambda turns: turns[1:], lambda turns: [system, *turns[1:]]],
        "no answer": [lambda turns: turns[:1], lambda turns: [system]],
        "user last": [lambda turns: [*turns, asked]],
        "two in a row": [lambda turns: [asked, *turns], lambda turns: [*turns, told, told]],
        "system in the middle": [lambda turns: [turns[0], system, *turns[1:]], lambda turns: [*turns, system]],
    }
    for order in orders[kind]:
        yield from changed(seed, order)


def bad_content(seed: Seed) -> Iterator[bytes]:
    for content in (None, 7, [], {"text": "x"}, [{"type": "text", "text": "x"}], True):
        yield from changed(seed, lambda turns, content=content: turns[0].update(content=content))
    yield from changed(seed, lambda turns: turns[0].pop("content") and None)


def bad_turn(seed: Seed) -> Iterator[bytes]:
    for turn in ("hello", None, 7, [], ["user", "hello"]):
        yield from changed(seed, lambda turns, turn=turn: [turn, *turns[1:]])


def bad_row(seed: Seed) -> Iterator[bytes]:
    for row in seed.rows():
        for turns in (None, [], {}, "x", {"0": row[key_of(row)][0]}):
            yield from lines_of({**row, key_of(row): turns})
        yield from lines_of({"turns": row[key_of(row)], "label": True})
    for tools in ({}, "x", [7], ["get_tools"]):
        yield from with_keys(seed, tools=tools)


def unknown_key(seed: Seed) -> Iterator[bytes]:
    yield from with_keys(seed, source="hand")
    yield from with_keys(seed, Label=True)
    yield from changed(seed, lambda turns: turns[0].update(weight=1))


def control_in_arguments(seed: Seed) -> Iterator[Example]:
    for char in STRAY:
        yield seed.with_context(subgoal=f"Read{char} it")
        for place in seed.places:
            if (
                isinstance(place.value, str)
                and place.kinds == ("string",)
                and not {"enum", "pattern", "format"} & set(place.schema)
            ):
                yield seed.with_arguments(place.put(f"x{char}"))


def control_character(seed: Seed) -> Iterator[bytes]:
    for char in STRAY:
        yield from changed(seed, lambda turns, char=char: turns[0].update(content=f"{turns[0]['content']}{char} x"))
        yield from changed(seed, lambda turns, char=char: turns[-1].update(content=f"{turns[-1]['content']}{char} x"))


def key_twice(seed: Seed) -> Iterator[bytes]:
    for line in seed.lines:
        yield line[:-1] + b', "label": true}'
        yield line[:-1] + b', "label": false}'
        yield line.replace(b'"role": "user"', b'"role": "user", "role": "user"', 1)
        yield line.replace(b'"role": "user"', b'"role": "user", "\\u0072ole": "user"', 1)


def bad_encoding(seed: Seed) -> Iterator[bytes]:
    for line in seed.lines:
        yield line.replace(b'"content": "', b'"content": "caf\xe9 ', 1)
        yield line.replace(b'"content": "', b'"content": "\xed\xa0\xbd', 1)
        yield line.replace(b'"content": "', b'"content": "\\ud83d ', 1)
        yield line.decode().encode("utf-16")


def bad_line(seed: Seed, kind: str) -> Iterator[bytes]:
    for line, row in zip(seed.lines, seed.rows(), strict=True):
        lines = {
            "truncated": [line[:-1], line[: len(line) // 2], line[:1]],
            "no object": [b"[" + line + b"]", dump_json(line.decode()).encode(), b"null", b"7"],
            "no JSON": [repr(row).encode(), line[:-1] + b",}", line[:-1] + b', "x": NaN}'],
            "two rows": [line + line, line + b", " + line],
            "deep nesting": [line[:-1] + b', "x": ' + nested("[", "]").encode() + b"}", b"[" * 5000],
        }
        yield from lines[kind]
