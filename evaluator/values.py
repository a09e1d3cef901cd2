"""Is an argument what the case accepts? Pure functions; each says why not, or "" when it is.

A rule is a plain value (its mode then follows from the schema: paths, ids, enums, numbers and booleans exactly, other
text without regard to case and spacing) or an object with one mode:

    {"exact": v}  {"text": "..."}  {"contains": ["...", ...]}  {"glob": "..."}  {"regex": "..."}  {"number": n}
    {"any": true}  {"absent": true}
    {"one_of": [rule, ...]}  {"items": [rule, ...]}  {"set": [rule, ...]}  {"fields": {name: rule}}

and, beside the mode, "optional": true when the parameter may be left out, and "tolerance": 0.01 beside "number"
(relative; without it whole numbers are exact and others may differ by rounding only). A regex must fit the whole text;
it knows no look-around, so its time is linear. No mode ignores punctuation.
"""

import fnmatch
import math
import re
import unicodedata
from collections.abc import Callable
from functools import lru_cache
from typing import Any

MODES = frozenset(
    {"exact", "text", "contains", "glob", "regex", "number", "any", "absent", "one_of", "items", "set", "fields"}
)
BESIDE_MODES = frozenset({"optional", "tolerance"})
ROUNDING = 1e-9  # relative
_ID_OR_FILE = re.compile(r"[a-z]+_\d{13}_[a-z0-9]{9}|.*\.[a-z]{2,5}|\$\{.*\}")  # or what an earlier result gave
MISSING = object()


def same_json(left: Any, right: Any) -> bool:
    """Equality as JSON has it: true is not 1, but 1.0 is 1."""
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(same_json(left[key], right[key]) for key in left)
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(same_json, left, right))
    return type(left) is type(right) and left == right or _number_like(left) and _number_like(right) and left == right


def _number_like(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def folded(text: str) -> str:
    """The text in one case and Unicode form, runs of blanks as one space, none at the ends."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def is_rule(value: Any) -> bool:
    return isinstance(value, dict) and len(value.keys() & MODES) == 1 and value.keys() <= MODES | BESIDE_MODES


def fault_of(rule: Any) -> str:
    """What is wrong with the make of a rule; "" when it can be used."""
    if not is_rule(rule):
        return ""
    mode = next(iter(rule.keys() & MODES))
    wanted = rule[mode]
    if mode in ("one_of", "items", "set"):
        if not isinstance(wanted, list):
            return f"{mode} needs a list"
        return next(filter(None, map(fault_of, wanted)), "")
    if mode == "fields":
        return (
            next(filter(None, map(fault_of, wanted.values())), "")
            if isinstance(wanted, dict)
            else "fields needs an object"
        )
    if mode == "contains" and not (isinstance(wanted, list) and all(isinstance(part, str) for part in wanted)):
        return "contains needs a list of texts"
    if mode in ("text", "glob", "regex") and not isinstance(wanted, str):
        return f"{mode} needs a text"
    if mode == "number" and not all(map(_number_like, (wanted, rule.get("tolerance", 0)))):
        return "number and tolerance need numbers"
    if mode == "number" and rule.get("tolerance", 0) < 0:
        return "tolerance must not be negative"
    if mode == "regex":
        try:
            _whole_text(wanted)
        except ValueError:
            return f"{_short(wanted)} is no regular expression"
    return ""


def may_be_left_out(rule: Any) -> bool:
    return is_rule(rule) and bool(rule.get("optional") or rule.get("absent"))


def is_exact(rule: Any, schema: dict) -> bool:
    """Whether just one value is accepted, so that the model's own adds nothing."""
    if is_rule(rule):
        return "exact" in rule or "absent" in rule
    if isinstance(rule, dict):
        return all(is_exact(item, _property(schema, key)) for key, item in rule.items())
    if isinstance(rule, list):
        return all(is_exact(item, _items(schema)) for item in rule)
    return not isinstance(rule, str) or _exact_text(rule, schema)


def why_not(rule: Any, value: Any, schema: dict) -> str:
    """Why the value is not accepted; "" when it is."""
    if not is_rule(rule):
        return _by_schema(rule, value, schema)
    mode = next(iter(rule.keys() & MODES))
    if mode == "number":
        return _number(rule["number"], rule.get("tolerance"), value)
    return _CHECKS[mode](rule[mode], value, schema)


def _by_schema(expected: Any, value: Any, schema: dict) -> str:
    if isinstance(expected, str) and not _exact_text(expected, schema):
        return _text(expected, value, schema)
    if isinstance(expected, list):
        return _items_agree(expected, value, schema)
    if isinstance(expected, dict):
        return _fields(expected, value, schema)
    return _exact(expected, value, schema)


def _exact_text(expected: str, schema: dict) -> bool:
    return bool(
        "enum" in schema
        or "pattern" in schema
        or schema.get("format") == "vault-path"
        or _ID_OR_FILE.fullmatch(expected)
    )


def _exact(expected: Any, value: Any, schema: dict) -> str:
    return "" if same_json(expected, value) else f"{_short(value)} instead of {_short(expected)}"


def _text(expected: str, value: Any, schema: dict) -> str:
    if isinstance(value, str) and folded(value) == folded(expected):
        return ""
    return f"{_short(value)} instead of {_short(expected)}"


def _contains(expected: list[str], value: Any, schema: dict) -> str:
    if not isinstance(value, str):
        return f"{_short(value)} is no text"
    lacking = [part for part in expected if folded(part) not in folded(value)]
    return f"{_short(value)} lacks {', '.join(map(_short, lacking))}" if lacking else ""


def _glob(expected: str, value: Any, schema: dict) -> str:
    if isinstance(value, str) and fnmatch.fnmatchcase(folded(value), folded(expected)):
        return ""
    return f"{_short(value)} does not fit {expected}"


@lru_cache(maxsize=256)
def _whole_text(pattern: str) -> Callable[[str], bool]:
    """Whether a text fits the pattern from end to end, in time linear in its length; ValueError for no pattern."""
    import jsonschema_rs

    schema = {"pattern": rf"\A(?:{pattern})\z"}
    return jsonschema_rs.validator_for(schema, pattern_options=jsonschema_rs.RegexOptions()).is_valid


def _regex(expected: str, value: Any, schema: dict) -> str:
    try:
        if isinstance(value, str) and _whole_text(expected)(value):
            return ""
    except UnicodeEncodeError:  # half a surrogate pair fits nothing
        pass
    return f"{_short(value)} does not fit {_short(expected)}"


def _number(expected: int | float, tolerance: float | None, value: Any) -> str:
    if not _number_like(value) or not _close(expected, value, tolerance):
        return f"{_short(value)} instead of {_short(expected)}"
    return ""


def _close(left: int | float, right: int | float, tolerance: float | None) -> bool:
    """Relative only: an absolute floor would take 8.9e-12 for 5e-12."""
    if left == right or (tolerance is None and left % 1 == 0 and right % 1 == 0):
        return left == right
    try:
        return math.isclose(left, right, rel_tol=ROUNDING if tolerance is None else tolerance)
    except OverflowError:  # an integer beyond every float
        return False


def _any(expected: Any, value: Any, schema: dict) -> str:
    return "an empty text" if isinstance(value, str) and not value.strip() else ""


def _absent(expected: Any, value: Any, schema: dict) -> str:
    return f"{_short(value)}, but it must be left out"


def _one_of(expected: list, value: Any, schema: dict) -> str:
    reasons = [why_not(rule, value, schema) for rule in expected]
    if len(reasons) == 1:
        return reasons[0]
    return "" if "" in reasons else f"{_short(value)} is none of the {len(reasons)} accepted values"


def _items_agree(expected: list, value: Any, schema: dict) -> str:
    if not isinstance(value, list) or len(value) != len(expected):
        return f"{_short(value)} instead of a list of {len(expected)}"
    reasons = [why_not(rule, item, _items(schema)) for rule, item in zip(expected, value, strict=True)]
    return next(filter(None, reasons), "")


def _set(expected: list, value: Any, schema: dict) -> str:
    """Every rule has an item of its own, in any order."""
    if not isinstance(value, list) or len(value) != len(expected):
        return f"{_short(value)} instead of a list of {len(expected)}"
    fits = [[not why_not(rule, item, _items(schema)) for item in value] for rule in expected]
    owner: dict[int, int] = {}

    def place(rule: int, tried: set[int]) -> bool:
        for item in range(len(value)):
            if fits[rule][item] and item not in tried:
                tried.add(item)
                if item not in owner or place(owner[item], tried):
                    owner[item] = rule
                    return True
        return False

    return "" if all(place(rule, set()) for rule in range(len(expected))) else f"{_short(value)} has a wrong item"


def _fields(expected: dict, value: Any, schema: dict) -> str:
    if not isinstance(value, dict):
        return f"{_short(value)} is no object"
    for name, rule in expected.items():
        if name not in value:
            if not may_be_left_out(rule):
                return f"{name} is missing"
        elif reason := why_not(rule, value[name], _property(schema, name)):
            return f"{name}: {reason}"
    for name in value.keys() - expected.keys():
        if not same_json(_property(schema, name).get("default", MISSING), value[name]):
            return f"{name} was not asked for"
    return ""


def _property(schema: dict, name: str) -> dict:
    properties = schema.get("properties")
    found = properties.get(name) if isinstance(properties, dict) else None
    return found if isinstance(found, dict) else {}


def _items(schema: dict) -> dict:
    found = schema.get("items")
    return found if isinstance(found, dict) else {}


def _short(value: Any) -> str:
    text = repr(value) if isinstance(value, str) else str(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


_CHECKS = {
    "exact": _exact,
    "text": _text,
    "contains": _contains,
    "glob": _glob,
    "regex": _regex,
    "any": _any,
    "absent": _absent,
    "one_of": _one_of,
    "items": _items_agree,
    "set": _set,
    "fields": _fields,
}
