"""The properties at the head of a note: the plain subset of YAML that notes use."""

import re
from typing import Any

BLOCK = re.compile(r"\A---[ \t]*\n(.*?)^---[ \t]*$", re.DOTALL | re.MULTILINE)
NO_KEY = tuple(" \t#'\"[]{}-")
NUMBER = re.compile(r"-?(0|[1-9][0-9]{0,14})(\.[0-9]{1,15})?")
WORDS = {"true": True, "false": False, "null": None, "~": None, "": None}
TAG = re.compile(r"(?:^|(?<=\s))#([\w/-]*[^\W\d][\w/-]*)")


def frontmatter(text: str) -> dict[str, Any]:
    """The properties of a note: texts, numbers, booleans and flat lists; anything deeper is left out."""
    block = BLOCK.match(text)
    found: dict[str, Any] = {}
    key = ""
    for line in block.group(1).split("\n") if block else ():
        name, colon, value = line.rstrip().partition(":")
        if colon and name and not name.startswith(NO_KEY) and value[:1] in ("", " ", "\t"):
            key = name.rstrip()
            found[key] = _value(value)
        elif key and line.lstrip().startswith("- "):
            items = found[key] if isinstance(found[key], list) else []
            found[key] = [*items, _value(line.lstrip()[2:])]
    return found


def body_of(text: str) -> str:
    """The note without its properties."""
    block = BLOCK.match(text)
    return text[block.end() :].lstrip("\n") if block else text


def tags_of(text: str) -> list[str]:
    """The note's tags without #, from its properties and its text, each once."""
    own = frontmatter(text).get("tags")
    listed = own if isinstance(own, list) else re.split(r"[,\s]+", own) if isinstance(own, str) else []
    names = [str(tag).lstrip("#") for tag in listed if tag not in (None, "")]
    return list(dict.fromkeys([*names, *TAG.findall(body_of(text))]))


def _value(text: str) -> Any:
    text = text.strip()
    if text.startswith("[") and text.endswith("]"):
        return [_value(item) for item in text[1:-1].split(",") if item.strip()]
    if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"":
        return text[1:-1]
    if text in WORDS:
        return WORDS[text]
    if NUMBER.fullmatch(text):
        return float(text) if "." in text else int(text)
    return text
