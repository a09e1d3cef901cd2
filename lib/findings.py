"""Schema errors of a call in the project's own words: a fixed code, the exact place and a sentence that helps."""

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from lib.json_text import shown

# The fixed words for what a schema can find, by JSON Schema keyword.
CODES = {
    "required": "missing-required",
    "additionalProperties": "unknown-parameter",
    "type": "wrong-type",
    "enum": "bad-enum",
    "const": "bad-enum",
    "minimum": "out-of-range",
    "maximum": "out-of-range",
    "exclusiveMinimum": "out-of-range",
    "exclusiveMaximum": "out-of-range",
    "multipleOf": "out-of-range",
    "pattern": "bad-pattern",
    "format": "bad-pattern",
    "minLength": "bad-length",
    "maxLength": "bad-length",
    "minItems": "bad-length",
    "maxItems": "bad-length",
    "minProperties": "bad-length",
    "maxProperties": "bad-length",
}
CONTEXT_CODES = {
    "required": "context-missing-field",
    "additionalProperties": "context-unknown-field",
    "type": "context-wrong-type",
}
CONTEXT_FIELD_CODES = {
    "sessionId": "bad-session-id",
    "workspaceId": "bad-workspace-id",
    "sessionMemory": "empty-memory",
}


@dataclass(frozen=True)
class Finding:
    """One thing wrong with a call: a fixed code, a sentence, and where in the arguments."""

    code: str
    message: str
    path: str = "arguments"
    severity: str = "error"


def explain(errors: Iterable, schema: Any, own_context: bool = True) -> list[Finding]:
    """Schema errors as findings: fixed code, exact path, a sentence; one finding per fault and place.

    own_context: whether a parameter called `context` is our toolset's, with codes of its own.
    """
    findings: dict[tuple[str, str], Finding] = {}
    for error in errors:
        for finding in _explain_one(error, schema, own_context):
            findings.setdefault((finding.code, finding.path), finding)
    return list(findings.values())


def _explain_one(error, schema: Any, own_context: bool) -> list[Finding]:
    keyword = error.kind.name
    steps = list(error.instance_path)
    code = CODES.get(keyword, "no-match")
    if own_context and steps[:1] == ["context"]:
        code = CONTEXT_CODES.get(keyword) or CONTEXT_FIELD_CODES.get(steps[-1], code)
    if keyword == "required":
        missing = [*steps, error.kind.property]
        if own_context and missing == ["context"]:
            message = "context is missing; it is the first argument of every call."
            return [Finding("context-missing", message, place_of(missing))]
        return [Finding(code, f"{_name(missing)} is missing.", place_of(missing))]
    if keyword == "additionalProperties":
        known = _known_names(error, schema)
        return [_unknown(code, [*steps, name], known) for name in error.kind.unexpected]
    if keyword in ("anyOf", "oneOf"):
        return [Finding("no-match", _alternatives(error), place_of(steps))]
    if code == "empty-memory":
        return [Finding(code, "sessionMemory is empty; say what has happened so far.", place_of(steps))]
    return [Finding(code, f"{_name(steps) or 'the arguments'}: {_short(error.message)}.", place_of(steps))]


def _unknown(code: str, steps: list, known: list[str]) -> Finding:
    kind = "context field" if code == "context-unknown-field" else "parameter"
    return Finding(code, f"there is no {kind} {_name(steps)}.{did_you_mean(steps[-1], known)}", place_of(steps))


def _known_names(error, schema: Any) -> list[str]:
    """The parameter names allowed where an unexpected one was found."""
    try:
        for step in list(error.schema_path)[:-1]:
            schema = schema[step]
        return list(schema.get("properties", {}))
    except (AttributeError, LookupError, TypeError):  # the path leads through a reference
        return []


def _alternatives(error) -> str:
    branches = getattr(error.kind, "context", [])
    needed = [branch[0].kind.property for branch in branches if branch and branch[0].kind.name == "required"]
    if needed and len(needed) == len(branches):
        return f"one of these is needed: {', '.join(needed)}."
    reasons = dict.fromkeys(_short(branch[0].message, 80) for branch in branches if branch)
    return f"{_name(list(error.instance_path))} fits none of its allowed forms ({'; '.join(reasons)})."


def place_of(steps: list) -> str:
    """["a", 0, "b"] as arguments.a[0].b; names that are no words are quoted."""
    text = "arguments"
    for step in steps:
        if isinstance(step, int):
            text += f"[{step}]"
        else:
            text += f".{step}" if step.isidentifier() else f"[{shown(step)}]"
    return text


def _name(steps: list) -> str:
    return place_of(steps)[len("arguments") :].removeprefix(".")


def _short(text: str, limit: int = 160) -> str:
    text = text if text.isprintable() else ascii(text)[1:-1]
    return text if len(text) <= limit else f"{text[: limit // 2]} ... {text[-limit // 2 :]}"


@lru_cache(maxsize=4096)
def _close(name: str, known: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(difflib.get_close_matches(name[:100], known, n=1, cutoff=0.6))


def did_you_mean(name: Any, known: Iterable[str]) -> str:
    close = _close(name, tuple(known)) if isinstance(name, str) else ()
    return f" Did you mean {close[0]}?" if close else ""
