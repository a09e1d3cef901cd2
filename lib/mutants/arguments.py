"""Faults of a call's name and arguments: what the tool's schema, the context's rules and the vault's bounds forbid."""

import copy
from collections.abc import Iterator
from dataclasses import replace

from lib.chat import Example
from lib.mutants.seeds import Seed
from lib.toolset import PATH_FORMAT, without_context

KINDS = {
    "null": None,
    "string": "some words",
    "number": 2.5,
    "boolean": True,
    "array": ["some words"],
    "object": {"some": "words"},
}
# What leaves the vault, by the way it does; each must be refused wherever a path stands.
PATHS = {
    "..": ["../x.md", "a/../../x.md", "a/.."],
    "absolute": ["/etc/passwd", "//server/x.md"],
    "home": ["~/x.md", "~root/x.md"],
    "backslash": ["a\\x.md", "..\\..\\x.md", "\\\\server\\x.md"],
    "drive": ["C:/x.md", "c:x.md"],
    "address": ["file:///x.md", "https://example.org/x.md"],
    "NUL": ["a\0.md", "\0"],
    "control character": ["a\x1b.md", "a\n../x.md", "a\u2028.md"],
    "percent-encoded": ["%2e%2e/x.md", "..%2fx.md", "%2Fetc%2Fpasswd", "..%5Cx.md", "%252e%252e%252fx.md"],
    "look-alike separator": ["..\uff0fx.md", "..\u2215x.md", "\u2044etc/x.md", "..\uff3cx.md"],
    "look-alike dots": ["\u2025/x.md", "\uff0e\uff0e/x.md", "\u2024\u2024/x.md"],
    "invisible characters": ["\u200b../x.md", ".\u200b./x.md", ".\u00ad./x.md"],
    "dots and blanks": [". ./x.md", ".. /x.md", " ../x.md"],
}
TIME, END = "1762160400000", "a1b2c3d4e"
# What is no id, by what is wrong with it; {} stands for the prefix.
IDS = {
    "length": [f"{{}}_{TIME[:-1]}_{END}", f"{{}}_{TIME}0_{END}", f"{{}}_{TIME}_{END[:-1]}", f"{{}}_{TIME}_{END}f"],
    "alphabet": [f"{{}}_{TIME}_a1b2c3d4\u00e9", f"{{}}_{TIME}_a1b2-3d4e", f"{{}}_176216040000x_{END}",
                 f"{{}}_\u0661{TIME[1:]}_{END}"],
    "prefix": [f"x{{}}_{TIME}_{END}", f"id_{TIME}_{END}", f"{TIME}_{END}", f"_{TIME}_{END}"],
    "missing part": [f"{{}}_{TIME}", f"{{}}_{END}", f"{{}}_{TIME}_", f"{{}}{TIME}{END}", "{}", ""],
    "upper case": [f"{{}}_{TIME}_{END.upper()}", f"{{}}_{TIME}_A1b2c3d4e"],
    "blanks around": [f"{{}}_{TIME}_{END}\n", f" {{}}_{TIME}_{END}", f"{{}}_{TIME}_{END} "],
    "made-up word": ["default", "current", "{}_current"],
}  # fmt: skip
ID_FIELDS = {"session id": ("sessionId", "session", "ws"), "workspace id": ("workspaceId", "ws", "session")}


def missing_required(seed: Seed, nested: bool) -> Iterator[Example]:
    for place in objects(seed, nested):
        for name in place.schema.get("required", ()):
            if name != "context" and name in place.value:
                yield seed.with_arguments(place.put({k: v for k, v in place.value.items() if k != name}))


def no_alternative(seed: Seed) -> Iterator[Example]:
    """None of the parameters of which one is needed; a value that none of several schemas allows."""
    for place in seed.places:
        names = [part["required"][0] for part in place.schema.get("anyOf", ()) if len(part.get("required", ())) == 1]
        if names:
            yield seed.with_arguments(place.put({k: v for k, v in place.value.items() if k not in names}))
        if "oneOf" in place.schema:
            for value in (3, None, ["x"], {"no such": 1}, {"contextDepth": "deep"}, {"workspacePath": "x"}):
                yield seed.with_arguments(place.put(value))


def unknown_parameter(seed: Seed, nested: bool) -> Iterator[Example]:
    for place in objects(seed, nested):
        if place.schema.get("additionalProperties") is False:
            yield seed.with_arguments(place.put({**place.value, "verbosity": "high"}))
            for name in list(place.schema["properties"])[-2:]:  # a parameter's name, slightly wrong
                yield seed.with_arguments(place.put({**place.value, f"{name}s": "x"}))
                yield seed.with_arguments(place.put({**place.value, name.upper(): "x"}))


def objects(seed: Seed, nested: bool):
    return [place for place in seed.places if isinstance(place.value, dict) and bool(place.steps) is nested]


def unknown_tool(seed: Seed, kind: str) -> Iterator[Example]:
    name = seed.tool.name
    agent, _, mode = name.partition("_")
    names = {
        "misspelt": [f"{name}s", name[:-1], name.replace("a", "e", 1), f"{name} x"],
        "other agent": [f"{other}_{mode}" for other in seed.toolset.agents if other != agent],
        "other case": [name.upper(), name.lower(), name.capitalize()],
        "mode alone": [mode or agent.capitalize(), f"functions.{name}"],
        "invented": ["gitManager_mergeBranches", "search", "null"],
    }
    for wrong in names[kind]:
        if wrong not in seed.toolset.tools:
            yield seed.with_call(replace(seed.call, name=wrong))


def wrong_type(seed: Seed, kind: str) -> Iterator[Example]:
    for place in seed.places:
        allowed = place.kinds
        fits = kind in allowed or (kind == "number" and "integer" in allowed)
        if place.steps and allowed and not fits:
            yield seed.with_arguments(place.put(copy.deepcopy(KINDS[kind])))


def fraction(seed: Seed) -> Iterator[Example]:
    for place in seed.places:
        if place.kinds == ("integer",):
            yield seed.with_arguments(place.put(place.value + 0.5))


def bad_enum(seed: Seed, change) -> Iterator[Example]:
    for place in seed.places:
        for value in place.schema.get("enum", ())[:2]:
            if change(value) not in place.schema["enum"]:
                yield seed.with_arguments(place.put(change(value)))


def out_of_range(seed: Seed, keyword: str, sign: int) -> Iterator[Example]:
    for place in seed.places:
        if keyword in place.schema and {"number", "integer"} & set(place.kinds):
            for step in (1, 10**6):
                yield seed.with_arguments(place.put(place.schema[keyword] + sign * step))


def bad_length(seed: Seed, keyword: str) -> Iterator[Example]:
    """A text or list that is too short or too long by one."""
    for place in seed.places:
        limit = place.schema.get(keyword)
        if limit is None or not place.steps:
            continue
        if keyword in ("minLength", "minItems"):
            yield seed.with_arguments(place.put(place.value[: limit - 1]))
        else:
            yield seed.with_arguments(place.put((place.value * (limit + 1))[: limit + 1]))


def bad_pattern(seed: Seed) -> Iterator[Example]:
    for place in seed.places:
        if place.schema.get("format") == "date":
            for value in ("yesterday", "03.11.2025", "2025-13-01", "2025-02-30", "2025-11-03T10:00:00Z"):
                yield seed.with_arguments(place.put(value))
        if "pattern" in place.schema:
            yield seed.with_arguments(place.put(". ?"))


def path_escape(seed: Seed, paths: list[str]) -> Iterator[Example]:
    for place in seed.places:
        if place.schema.get("format") == PATH_FORMAT:
            for path in paths:
                yield seed.with_arguments(place.put(path))


def context_missing(seed: Seed) -> Iterator[Example]:
    yield seed.with_arguments(without_context(seed.arguments))


def context_not_first(seed: Seed) -> Iterator[Example]:
    rest = without_context(seed.arguments)
    if rest:
        yield seed.with_arguments({**rest, "context": seed.arguments["context"]})
        first = next(iter(rest))
        yield seed.with_arguments({first: rest[first], **seed.arguments})


def context_no_object(seed: Seed) -> Iterator[Example]:
    context = seed.arguments["context"]
    for value in (None, "session", 7, True, [context], list(context.values()), str(context)):
        yield seed.with_arguments({**seed.arguments, "context": value})


def context_field_missing(seed: Seed) -> Iterator[Example]:
    context = seed.arguments["context"]
    for field in seed.toolset.context_fields:
        kept = {name: value for name, value in context.items() if name != field}
        yield seed.with_arguments({**seed.arguments, "context": kept})
    yield seed.with_arguments({**seed.arguments, "context": {}})


def context_field_no_text(seed: Seed) -> Iterator[Example]:
    for field in seed.toolset.context_fields:
        for value in (None, 7, False, ["some words"], {"some": "words"}):
            yield seed.with_context(**{field: value})


def context_field_empty(seed: Seed) -> Iterator[Example]:
    for field in seed.toolset.context_fields:
        if not field.endswith("Id") and field != "sessionMemory":
            yield seed.with_context(**{field: ""})


def bad_id(seed: Seed, what: str, kind: str) -> Iterator[Example]:
    field, prefix, other = ID_FIELDS[what]
    for pattern in IDS[kind]:
        yield seed.with_context(**{field: pattern.format(prefix)})
    if kind == "prefix":
        yield seed.with_context(**{field: f"{other}_{TIME}_{END}"})
