"""Proof, in a few microseconds, that a typical row has no problem.

Most rows of a good dataset are written by this project's own writer and faultless. clean_row recognises these without
building an example; about every other row it says nothing, and lib/validation.py applies the rules one by one. A row
that passes here has no problem there: tests hold the two together.
"""

import re

import orjson

from lib.json_text import keys_kept
from lib.toolset import Toolset

CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ufffd]")
LABELS = {True: b', "label": true}', False: b', "label": false}', None: b"}"}
ANSWERED_CALL = re.compile(r"tool_call: ([^\s]+)\narguments: (\{.*\})\n\nResult: (\{.*\})(?:\n\n|\Z)")
ROW = b'{"conversations": [{"role": "user", "content": %b}, {"role": "assistant", "content": %b}]%b'


def clean_row(line: bytes, toolset: Toolset) -> dict | None:
    """The row when it is one question and one answer, written the usual way and proven faultless; None otherwise."""
    try:
        row = orjson.loads(line)
        user, assistant = row["conversations"]
        asked, said, label = user["content"], assistant["content"], row.get("label")
        # Equal bytes prove roles, keys and label at one stroke, and that no key was given twice.
        if line == ROW % (orjson.dumps(asked), orjson.dumps(said), LABELS[label]) or _compact(line, row):
            return row if _clean_words(asked) and _clean_answer(said, toolset) else None
    except (ValueError, TypeError, LookupError, AttributeError):
        pass  # of another shape: the rules will tell
    return None


def _compact(line: bytes, row: dict) -> bool:
    """Whether the line is the row in the form without blanks, and the row has the usual keys only."""
    user, assistant = row["conversations"]
    return (
        line == orjson.dumps(row)
        and (len(row) == 1 or (len(row) == 2 and type(row["label"]) is bool))
        and len(user) == len(assistant) == 2
        and user["role"] == "user"
        and assistant["role"] == "assistant"
    )


def _clean_words(text: str) -> bool:
    if text.isprintable() and "\ufffd" not in text:
        return not text.isspace() and text != ""
    return CONTROL.search(text) is None and not text.isspace()


def _clean_answer(text: str, toolset: Toolset) -> bool:
    """Whether an assistant's text is calls with their results and words, a blank line between them, without fault."""
    position, size, values, colons = 0, len(text), [], 0
    while position < size:
        block = ANSWERED_CALL.match(text, position)
        if block:
            name, written, result = block.groups()
            arguments, given = orjson.loads(written), orjson.loads(result)
            if given["success"] is not True or toolset.check(name, arguments):
                return False
            values += (arguments, given)
            colons += 3  # of tool_call:, arguments: and Result:
            position = block.end()
            continue
        following = text.find("tool_call: ", position)
        words = text[position:] if following < 0 else text[position : following - 2]
        if not _clean_words(words) or "tool_call:" in words or "Result:" in words:
            return False
        if following >= 0 and not text.startswith("\n\n", following - 2):
            return False
        colons += words.count(":")
        position = size if following < 0 else following
    return (not values or keys_kept(values, text, colons)) and not text.endswith("\n\n") and size > 0
