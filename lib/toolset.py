"""The toolset: schemas from configs/tools.json, compiled once, and the check of one call against them.

`effect` of a tool: "read" changes nothing; "write" adds or changes; "destructive" can, with some arguments, remove or
overwrite note text, files, folders or stored agents.
"""

import difflib
import json
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

from lib.errors import CannotRun
from lib.paths import path_problem

DEFAULT_TOOLS = Path("configs/tools.json")
EFFECTS = ("read", "write", "destructive")
PATH_FORMAT = "vault-path"

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
class Tool:
    """One tool as configs/tools.json describes it; parameters is a self-contained schema, its references resolved."""

    name: str
    agent: str
    mode: str
    description: str
    effect: str
    parameters: dict
    path_places: tuple[tuple[str, ...], ...] = ()  # where vault paths sit, "*" for every item of a list

    @property
    def takes_context(self) -> bool:
        return "context" in self.parameters.get("required", ())


@dataclass(frozen=True)
class Finding:
    """One thing wrong with a call: a fixed code, a sentence, and where in the arguments."""

    code: str
    message: str
    path: str = "arguments"
    severity: str = "error"


@dataclass(frozen=True)
class Toolset:
    """The tools by name, and their compiled schemas."""

    tools: dict[str, Tool]
    context_fields: tuple[str, ...] = ()
    validators: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)

    def check(self, name: str, arguments: Any) -> list[Finding]:
        """Everything wrong with a call, [] when nothing is. Never raises, whatever the arguments are."""
        try:
            tool = self.tools.get(name)
        except TypeError:
            tool = None
        if tool is None:
            return [Finding("unknown-tool", f"there is no tool {name!r}.{_did_you_mean(name, self.tools)}", "name")]
        validator = self.validators[name]
        try:
            findings = [] if validator.is_valid(arguments) else explain(validator.iter_errors(arguments), arguments)
        except Exception as error:  # NaN, surrogates, sets, cycles: whatever JSON cannot hold
            findings = [Finding("wrong-type", f"the arguments cannot be written as JSON: {error}")]
        if type(arguments) is dict:
            if tool.takes_context:
                findings += _context_rules(arguments)
            for place in tool.path_places:
                findings += _path_rules(arguments, place, "arguments")
        return findings

    def openai_tools(self) -> list[dict]:
        """The tools as an OpenAI-style `tools` list."""
        return [
            {
                "type": "function",
                "function": {"name": tool.name, "description": tool.description, "parameters": tool.parameters},
            }
            for tool in self.tools.values()
        ]

    @cached_property
    def agents(self) -> dict[str, list[str]]:
        """Tool names by agent, in file order."""
        groups: dict[str, list[str]] = {}
        for tool in self.tools.values():
            groups.setdefault(tool.agent, []).append(tool.name)
        return groups


def _context_rules(arguments: dict) -> list[Finding]:
    """What no schema can say: context comes first, and a memory of blanks is no memory."""
    findings = []
    if "context" in arguments:
        if next(iter(arguments)) != "context":
            first = next(iter(arguments))
            findings.append(Finding("context-not-first", f"context must be the first argument; {first!r} is."))
        context = arguments["context"]
        memory = context.get("sessionMemory") if type(context) is dict else None
        if type(memory) is str and memory.isspace():
            path = "arguments.context.sessionMemory"
            findings.append(Finding("empty-memory", "sessionMemory holds blanks only.", path))
    return findings


def _path_rules(value: Any, place: tuple[str, ...], where: str) -> list[Finding]:
    """A path-escape finding for every string at this place that leaves the vault."""
    if not place:
        problem = path_problem(value) if type(value) is str else None
        return [Finding("path-escape", f"{_shown(value)} {problem}.", where)] if problem else []
    step, rest = place[0], place[1:]
    if step == "*":
        if type(value) is not list:
            return []
        return [finding for index, item in enumerate(value) for finding in _path_rules(item, rest, f"{where}[{index}]")]
    if type(value) is not dict or step not in value:
        return []
    return _path_rules(value[step], rest, f"{where}.{step}")


def explain(errors, arguments: Any) -> list[Finding]:
    """Schema errors as findings: fixed code, exact path, a sentence; one finding per fault and place."""
    findings: dict[tuple[str, str, str], Finding] = {}
    for error in errors:
        for finding in _explain_one(error, arguments):
            findings.setdefault((finding.code, finding.path, finding.message), finding)
    return list(findings.values())


def _explain_one(error, arguments: Any) -> list[Finding]:
    keyword = error.kind.name
    steps = list(error.instance_path)
    where = _where(steps)
    if steps[:1] == ["context"]:
        code = CONTEXT_CODES.get(keyword) or CONTEXT_FIELD_CODES.get(steps[-1]) or CODES.get(keyword, "no-match")
    else:
        code = CODES.get(keyword, "no-match")
    if keyword == "required":
        missing = error.kind.property
        if missing == "context" and not steps:
            return [Finding("context-missing", "context is missing; it is the first argument of every call.", where)]
        return [Finding(code, f"{missing} is missing.", f"{where}.{missing}")]
    if keyword == "additionalProperties":
        return [_unknown(code, name, where) for name in error.kind.unexpected]
    if keyword in ("anyOf", "oneOfNotValid", "oneOf"):
        return [Finding("no-match", _alternatives(error), where)]
    return [Finding(code, f"{_name(steps)}: {_short(error.message)}.", where)]


def _unknown(code: str, name: str, where: str) -> Finding:
    return Finding(code, f"there is no parameter {name!r} here.", f"{where}.{name}")


def _alternatives(error) -> str:
    branches = getattr(error.kind, "context", [])
    needed = [branch[0].kind.property for branch in branches if branch and branch[0].kind.name == "required"]
    if needed and len(needed) == len(branches):
        return f"one of these is needed: {', '.join(needed)}."
    return f"{_name(list(error.instance_path))} fits none of the allowed forms."


def _where(steps: list) -> str:
    return "arguments" + "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps)


def _name(steps: list) -> str:
    return _where(steps).removeprefix("arguments.")


def _short(text: str, limit: int = 160) -> str:
    return text if len(text) <= limit else f"{text[: limit // 2]} ... {text[-limit // 2 :]}"


def _shown(value: Any) -> str:
    return _short(ascii(value), 80)


@lru_cache(maxsize=4096)
def _close(name: str, known: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(difflib.get_close_matches(name[:100], known, n=1, cutoff=0.6))


def _did_you_mean(name: Any, known) -> str:
    close = _close(name, tuple(known)) if isinstance(name, str) else ()
    return f" Did you mean {close[0]}?" if close else ""


@lru_cache(maxsize=8)
def load_toolset(path=DEFAULT_TOOLS) -> Toolset:
    """The toolset of a file; a fault in it is CannotRun naming the tool and the place."""
    try:
        data = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise CannotRun(f"{path}: {error.strerror or error}. It holds the tool schemas.") from error
    except ValueError as error:
        raise CannotRun(f"{path}: not JSON ({error}).") from error
    definitions = data.get("$defs", {})
    tools, validators = {}, {}
    for entry in data["tools"]:
        tool, validator = _load_tool(path, entry, definitions)
        tools[tool.name], validators[tool.name] = tool, validator
    fields = tuple(definitions.get("context", {}).get("required", ()))
    return Toolset(tools, fields, validators)


def _load_tool(path, entry: dict, definitions: dict):
    import jsonschema_rs

    name = entry["name"]
    parameters = _resolve(entry["parameters"], definitions)
    try:
        validator = jsonschema_rs.validator_for(parameters, validate_formats=True)
    except jsonschema_rs.ValidationError as error:
        raise CannotRun(f"{path}: {name}: parameters{_where(error.instance_path)[9:]}: {error.message}.") from None
    places = tuple(dict.fromkeys(_find_paths(parameters)))
    tool = Tool(name, entry["agent"], entry["mode"], entry["description"], entry["effect"], parameters, places)
    return tool, validator


def _resolve(schema: Any, definitions: dict) -> Any:
    """The schema with every {"$ref": "#/$defs/x"} replaced by that definition."""
    if isinstance(schema, list):
        return [_resolve(item, definitions) for item in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        return _resolve(definitions[schema["$ref"].removeprefix("#/$defs/")], definitions)
    return {key: _resolve(value, definitions) for key, value in schema.items()}


def _find_paths(schema: Any, place: tuple[str, ...] = ()):
    """Every place of a vault path in a schema, conditional parts included."""
    if schema.get("format") == PATH_FORMAT:
        yield place
    for name, part in schema.get("properties", {}).items():
        yield from _find_paths(part, (*place, name))
    if isinstance(schema.get("items"), dict):
        yield from _find_paths(schema["items"], (*place, "*"))
    for keyword in ("allOf", "anyOf", "oneOf"):
        for part in schema.get(keyword, ()):
            yield from _find_paths(part, place)
    for keyword in ("then", "else"):
        if keyword in schema:
            yield from _find_paths(schema[keyword], place)
