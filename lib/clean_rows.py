"""Proof, in a few microseconds, that a typical row has no problem.

clean_row recognises faultless rows of one question and one answer without building an example; about every other row
it says nothing, and lib/validation.py applies the rules one by one. A row that passes here has no problem there: tests
hold the two together.

That no key was given twice is proven by counting colons: each key in the line brings one, the colons inside strings
are known, and a key that the JSON reader dropped would leave one too many.
"""

import re

import orjson

from lib.toolset import Toolset

CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ufffd]")
ANSWERED_CALL = re.compile(r"tool_call: ([^\s]+)\narguments: (\{.*\})\n\nResult: (\{.*\})(?:\n\n|\Z)")
ODD_ESCAPE = re.compile(r"\\[bfu]")
ESCAPED_COLON = b"\\u003"


def clean_row(line: bytes, toolset: Toolset) -> dict | None:
    """The row when it is one question and one answer, proven faultless; None otherwise."""
    if ESCAPED_COLON in line:
        return None
    try:
        row = orjson.loads(line)
        user, assistant = row["conversations"]
        asked, said = user["content"], assistant["content"]
        keys = 5 if len(row) == 1 else 6
        if (
            user["role"] == "user"
            and assistant["role"] == "assistant"
            and len(user) == len(assistant) == 2
            and (keys == 5 or (len(row) == 2 and type(row["label"]) is bool))
            and _clean_words(asked)
            and line.count(b":") == keys + asked.count(":") + _colons(said, toolset)
        ):
            return row
    except (ValueError, TypeError, LookupError, AttributeError):
        pass  # of another shape: the rules will tell
    return None


def _clean_words(text: str) -> bool:
    if text.isprintable() and "\ufffd" not in text:
        return not text.isspace() and text != ""
    return CONTROL.search(text) is None and not text.isspace()


def _colons(text: str, toolset: Toolset) -> int:
    """How many colons an assistant's text must hold; ValueError unless it is words and answered calls without fault."""
    position, size, values, colons, compiled = 0, len(text), [], 0, toolset.compiled
    while position < size:
        block = ANSWERED_CALL.match(text, position)
        if block:
            name, written, result = block.groups()
            arguments, given = orjson.loads(written), orjson.loads(result)
            is_plain, _, takes_context = compiled[name]
            if not is_plain(arguments) or (takes_context and next(iter(arguments)) != "context"):
                raise ValueError
            if ODD_ESCAPE.search(written) or "\x7f" in written or not (written.isascii() or _clean_words(written)):
                raise ValueError  # perhaps a control character
            success = given["success"]
            if success is not True and (success is not False or not given["error"].strip()):
                raise ValueError
            values += (arguments, given)
            colons += 3  # of tool_call:, arguments: and Result:
            position = block.end()
            continue
        following = text.find("tool_call: ", position)
        words = text[position:] if following < 0 else text[position : following - 2]
        if not _clean_words(words) or "tool_call:" in words or "Result:" in words:
            raise ValueError
        if following >= 0 and not text.startswith("\n\n", following - 2):
            raise ValueError
        colons += words.count(":")
        position = size if following < 0 else following
    if not size or text.endswith("\n\n"):
        raise ValueError
    return colons + orjson.dumps(values).count(b":")
