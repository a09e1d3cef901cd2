"""Records of the vault from and to JSON objects, every fault named with its place."""

import copy
from dataclasses import MISSING, fields
from datetime import UTC, datetime
from typing import Any

from lib.errors import CannotRun
from lib.vault.state import Session, State, Trace, Workspace

CONTEXT_KEYS = ("purpose", "currentGoal", "workflows", "keyFiles", "preferences", "dedicatedAgent")
# Fixture keys that are no field of the record.
EXTRA_KEYS = {
    Workspace: (*CONTEXT_KEYS, "current"),
    Session: ("workspace", "current"),
    State: ("session",),
    Trace: ("session",),
}
TYPES = {"str": str, "bool": bool, "int": int, "float": (int, float), "dict": dict, "tuple[str, ...]": list}
TIMES = ("created", "lastAccessed", "timestamp", "ended", "modified")


def camel(attribute: str) -> str:
    """The JSON key of a record's field: root_folder becomes rootFolder."""
    first, *rest = attribute.split("_")
    return first + "".join(part.capitalize() for part in rest)


def to_dict(record: Any) -> dict:
    """A record as fresh JSON, its keys as fixtures write them."""
    values = {camel(field.name): getattr(record, field.name) for field in fields(record)}
    return {key: list(value) if isinstance(value, tuple) else copy.deepcopy(value) for key, value in values.items()}


def record_from(kind: type, item: dict, where: str, **made: Any) -> Any:
    """A record from a fixture entry; `made` gives each missing field's value when called."""
    check_keys(item, [*(camel(field.name) for field in fields(kind)), *EXTRA_KEYS.get(kind, ())], where)
    values = {}
    for field in fields(kind):
        key = camel(field.name)
        if key in item and item[key] is not None:
            value = time_of(item[key], f"{where}: {key}") if key in TIMES else item[key]
            expected = TYPES.get(str(field.type).removesuffix(" | None"), object)
            value = typed(value, expected, f"{where}: {key}")
            values[field.name] = tuple(value) if isinstance(value, list) else value
        elif field.name in made:
            values[field.name] = made[field.name]()
        elif field.default is MISSING and field.default_factory is MISSING:
            raise CannotRun(f"fixture: {where}: '{key}' is missing.")
    return kind(**values)


def entries(part: str, items: Any) -> list[tuple[str, dict]]:
    """(where, entry) for each entry of a list, `where` naming it for a complaint."""
    named = [(f"{part}[{index}]", item) for index, item in enumerate(typed(items, list, part))]
    return [(where, typed(item, dict, where)) for where, item in named]


def time_of(value: Any, where: str) -> int:
    """Milliseconds since 1970 from a number, an ISO text or a YAML timestamp; without a zone it is UTC."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    try:
        moment = value if isinstance(value, datetime) else datetime.fromisoformat(value)
    except (TypeError, ValueError):
        raise CannotRun(f"fixture: {where}: '{value}' is no time like 2025-11-03T09:00:00Z.") from None
    return round((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)


def typed(value: Any, expected: Any, where: str) -> Any:
    if isinstance(value, expected) and not (isinstance(value, bool) and expected is int):
        return value
    names = " or ".join(kind.__name__ for kind in (expected if isinstance(expected, tuple) else (expected,)))
    raise CannotRun(f"fixture: {where}: a {type(value).__name__} where a {names} is expected.")


def check_keys(item: Any, known: Any, where: str) -> None:
    unknown = sorted(set(map(str, typed(item, dict, where))) - set(known))
    if unknown:
        raise CannotRun(
            f"fixture: {f'{where}: ' if where else ''}unknown key '{unknown[0]}'; known are {', '.join(known)}."
        )
