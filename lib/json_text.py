"""JSON read so that nothing is lost unnoticed: orjson where it proves exact, the standard library where it does not.

orjson drops the first of two equal keys, turns integers beyond 64 bits into floats and refuses raw line breaks in
strings. One cheap count shows that none of this happened; otherwise the text is read again, slowly and exactly.
"""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from json import JSONDecodeError
from typing import Any

import orjson

MAX_DEPTH = 252  # one less than orjson writes inside a list; deeper nesting is refused
EXACT_BELOW = 1e15  # floats from here on may be integers that did not fit
PLAIN = frozenset((str, int, bool, type(None)))
SPACES = re.compile(r"[ \t\r\n]*")


@dataclass(frozen=True)
class JsonFault:
    """What is wrong with a JSON text and at which character; a warning still gives a value."""

    code: str
    message: str
    offset: int
    severity: str = "error"


class _Refused(ValueError):
    """JSON that Python would read but no other reader need accept."""


def dump_json(value: Any) -> str:
    """The one way JSON is written inside text: readable characters kept, ", " and ": " between parts."""
    return json.dumps(value, ensure_ascii=False)


class Written(list):
    """A list that goes into many texts, its JSON written once, so it must not be changed any more."""

    def __init__(self, items: Iterable):
        super().__init__(items)
        self.json = json_bytes(list(self))
        self.digest = sha256(self.json).hexdigest()


def json_bytes(value: Any, named: bool = False) -> bytes:
    """JSON without blanks; slower for what orjson does not write, such as the integer of 400 digits of some model.

    named: the digest of each Written stands for it.
    """

    def written(part: Any) -> Any:
        if not isinstance(part, Written):
            raise TypeError
        return part.digest if named else orjson.Fragment(part.json)

    try:
        return orjson.dumps(value, written, orjson.OPT_PASSTHROUGH_SUBCLASS)
    except TypeError:
        return json.dumps(value).encode()  # named or not: it is as good a name, only longer


def read_json(text: str) -> tuple[Any, list[JsonFault]]:
    """(value, faults) of a whole JSON text; the value is None after a fault of severity error."""
    try:
        value = orjson.loads(text)
        if proven_exact(value, text):
            return value, []
    except ValueError:
        pass
    value, end, faults = read_json_prefix(text)
    rest = SPACES.match(text, end).end()
    if rest < len(text) and not _broken(faults):
        return None, [*faults, JsonFault("not-json", f"unexpected text after the JSON: {_shown(text, rest)}", rest)]
    return value, faults


def read_json_prefix(text: str) -> tuple[Any, int, list[JsonFault]]:
    """(value, end, faults) of the JSON value that text starts with; slow, exact, never raises."""
    repeated: list[str] = []
    decoder = json.JSONDecoder(
        strict=False,
        object_pairs_hook=lambda pairs: _object(pairs, repeated),
        parse_constant=_refuse_constant,
        parse_float=_finite,
    )
    start = SPACES.match(text).end()
    try:
        value, end = decoder.raw_decode(text, start)
        if type(value) in (dict, list) and not _plain(value, 0, rounding=True):
            raise RecursionError
    except JSONDecodeError as error:
        return None, start, [JsonFault("not-json", f"not JSON: {error.msg} at {_shown(text, error.pos)}", error.pos)]
    except RecursionError:
        return None, start, [JsonFault("not-json", f"not readable JSON: nested deeper than {MAX_DEPTH} levels", start)]
    except ValueError as error:
        return None, start, [JsonFault("not-json", f"not JSON: {error}", start)]
    faults = [JsonFault("duplicate-key", f"the key {key!r} occurs twice in one object", start) for key in repeated]
    return value, end, faults + _character_faults(text, start, end)


def _character_faults(text: str, start: int, end: int) -> list[JsonFault]:
    """Raw control characters (readable here, a fault elsewhere) and half characters (writable nowhere)."""
    faults = []
    part = text[start:end]
    try:
        json.loads(part)
    except JSONDecodeError as error:
        message = f"raw control character U+{ord(part[error.pos]):04X} inside a JSON string; write it as an escape"
        faults.append(JsonFault("raw-control", message, start + error.pos, "warning"))
    surrogate = re.search(r"\\u[dD][89a-fA-F]|[\ud800-\udfff]", part)
    if surrogate:
        try:
            dump_json(json.loads(part, strict=False)).encode()
        except UnicodeEncodeError:
            offset = start + surrogate.start()
            faults.append(JsonFault("bad-encoding", "half of a surrogate pair; it cannot be written as UTF-8", offset))
    return faults


def proven_exact(value: Any, text: str) -> bool:
    """Whether orjson's value holds all of the text: no key dropped, no number rounded, no nesting too deep."""
    kind = type(value)
    if kind is not dict and kind is not list:
        return kind in PLAIN
    if "\\" in text and "\\u003" in text:
        return False  # perhaps an escaped colon, which would upset the count
    try:
        # Every key brings one colon; colons inside strings are the same on both sides.
        return text.count(":") == orjson.dumps(value).count(b":") and _plain(value, 0)
    except TypeError:  # nested deeper than orjson writes
        return False


def _plain(value: Any, depth: int, rounding: bool = False) -> bool:
    """False when value is nested beyond MAX_DEPTH or, unless rounding may be, holds a float that may be rounded."""
    if depth > MAX_DEPTH:
        return False
    items = value.values() if type(value) is dict else value
    if PLAIN.issuperset(map(type, items)):
        return True
    for item in items:
        kind = type(item)
        if kind in PLAIN:
            continue
        if kind is float:
            if not rounding and not -EXACT_BELOW < item < EXACT_BELOW:
                return False
        elif not _plain(item, depth + 1, rounding):
            return False
    return True


def _object(pairs: list[tuple[str, Any]], repeated: list[str]) -> dict:
    result = dict(pairs)
    if len(result) < len(pairs):
        seen = set()
        repeated += dict.fromkeys(key for key, _ in pairs if key in seen or seen.add(key))
    return result


def _refuse_constant(name: str):
    raise _Refused(f"{name} is no JSON value")


def _finite(digits: str) -> float:
    number = float(digits)
    if number in (float("inf"), float("-inf")):
        raise _Refused(f"the number {digits[:20]} is too large")
    return number


def _broken(faults: list[JsonFault]) -> bool:
    return any(fault.code == "not-json" for fault in faults)


def _shown(text: str, offset: int) -> str:
    """A short excerpt at offset, safe to print anywhere."""
    return ascii(text[offset : offset + 20]) if offset < len(text) else "the end"


def shown(value: Any, limit: int = 60) -> str:
    """Any value as a short, printable piece of a message."""
    text = ascii(value)
    return text if len(text) <= limit else f"{text[: limit // 2]} ... {text[-limit // 4 :]}"
