"""The single values inside an argument, and a wrong one in the place of each: what mutants are made of."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from evaluator.values import is_rule

Path = tuple[str | int, ...]
_FILE = re.compile(r"[^\n]+\.[a-z0-9]{2,5}")
_ID = re.compile(r"[a-z]+_\d{13}_[a-z0-9]{9}")


@dataclass(frozen=True)
class Leaf:
    """A single value and where it lies. `free`: any value but an empty one is accepted; `options`: its enum."""

    path: Path
    value: Any
    free: bool = False
    options: tuple = ()


def leaves(value: Any, rule: Any, schema: dict, path: Path = ()) -> Iterator[Leaf]:
    """The texts, numbers and booleans inside a value that the rule (None for none) judges one by one."""
    if is_rule(rule) and "any" in rule:
        yield Leaf(path, value, free=True)
    elif isinstance(value, dict) and value:
        rules = rule.get("fields", rule) if isinstance(rule, dict) else {}
        for key, item in value.items():
            yield from leaves(item, rules.get(key), schema.get("properties", {}).get(key, {}), (*path, key))
    elif isinstance(value, list) and value:
        rules = rule.get("items", rule.get("set")) if is_rule(rule) else rule
        for index, item in enumerate(value):
            found = rules[index] if isinstance(rules, list) and index < len(rules) else None
            yield from leaves(item, found, schema.get("items", {}), (*path, index))
    else:
        yield Leaf(path, value, options=tuple(schema.get("enum", ())))


def with_leaf(value: Any, path: Path, leaf: Any) -> Any:
    """A copy of the value with another leaf at the path."""
    if not path:
        return leaf
    step, rest = path[0], path[1:]
    if isinstance(value, list):
        return [with_leaf(item, rest, leaf) if index == step else item for index, item in enumerate(value)]
    return {key: with_leaf(item, rest, leaf) if key == step else item for key, item in value.items()}


def other_value(leaf: Leaf) -> Any:
    """A value of the same type that is not meant; an empty one where any other would be accepted."""
    value = leaf.value
    if leaf.free:
        return type(value)() if isinstance(value, str | list | dict) else None
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return value + 1
    if isinstance(value, str):
        return next((option for option in leaf.options if option != value), None) or _other_text(value)
    return [value]


def _other_text(text: str) -> str:
    """Another path for a path, another id for an id, another matter for a text."""
    if _FILE.fullmatch(text):
        stem, _, ending = text.rpartition(".")
        return f"{stem} 2.{ending}"
    if _ID.fullmatch(text):
        return text[:-1] + ("1" if text[-1] == "0" else "0")
    return f"{text}/Elsewhere" if "/" in text and " " not in text.rpartition("/")[2] else "Quite another matter"
