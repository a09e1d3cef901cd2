"""Calls written as Python text, `[Name(key="value", other=3), Second()]`: read, never evaluated."""

import ast
import re

CALL = re.compile(r"\s*([^\[\](),=]+?)\s*\(")
WORDS = {"true": True, "false": False, "null": None}  # JSON's, which stand among Python's literals


def read_calls(text: str) -> list[tuple[str, dict]]:
    """(name, arguments) of each call; names may hold blanks and slashes. ValueError for what is no list of calls."""
    calls, position, inside = [], 1, text[:-1]
    while position < len(inside):
        match = CALL.match(inside, position)
        if match is None:
            raise ValueError(f"no call at {inside[position : position + 30]!r}")
        end = closing(inside, match.end())
        calls.append((match.group(1), literals(inside[match.end() : end])))
        position = end + 1
        while position < len(inside) and inside[position] in ", \n":
            position += 1
    return calls


def closing(text: str, position: int) -> int:
    """Where the bracket opened before `position` closes, strings passed over."""
    depth, quote = 1, ""
    while position < len(text):
        letter = text[position]
        if quote:
            position += letter == "\\"
            quote = "" if letter == quote else quote
        elif letter in "\"'":
            quote = letter
        else:
            depth += (letter in "([{") - (letter in ")]}")
            if depth == 0:
                return position
        position += 1
    raise ValueError("a bracket of a call is never closed")


def literals(text: str) -> dict:
    """Keyword arguments whose values are literals."""
    try:
        call = ast.parse(f"f({text})", mode="eval").body
        if call.args or not all(word.arg for word in call.keywords):
            raise ValueError("arguments without names")
        return {
            word.arg: WORDS[word.value.id] if getattr(word.value, "id", "") in WORDS else ast.literal_eval(word.value)
            for word in call.keywords
        }
    except (SyntaxError, ValueError, TypeError, MemoryError, RecursionError, AttributeError):
        raise ValueError(f"arguments {text[:60]!r} are no literals") from None
