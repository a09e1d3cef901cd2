"""The toolset: schemas from configs/tools.json, compiled once, and the check of one call against them.

`effect` of a tool: "read" changes nothing; "write" adds or changes; "destructive" can, with some arguments, remove or
overwrite note text, files, folders or stored agents.
"""

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from lib.errors import CannotRun
from lib.findings import Finding, did_you_mean, explain, place_of
from lib.json_text import Written, shown
from lib.paths import PLAIN, WORD, path_problem

DEFAULT_TOOLS = Path("configs/tools.json")
EFFECTS = ("read", "write", "destructive")
PATH_FORMAT = "vault-path"
MEMORY_PATH = "arguments.context.sessionMemory"


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
    foreign: bool = False  # somebody else's: a parameter called context is not ours

    @property
    def takes_context(self) -> bool:
        """Whether every call must carry a context."""
        return not self.foreign and "context" in self.parameters.get("required", ())


class Compiled(NamedTuple):
    """What check needs of a tool, ready at hand."""

    is_plain: Callable[[Any], bool]  # surely nothing to find but the place of context
    iter_errors: Callable[[Any], Iterable]
    takes_context: bool


@dataclass(frozen=True)
class Toolset:
    """The tools by name, and their compiled schemas."""

    tools: dict[str, Tool]
    context_fields: tuple[str, ...] = ()
    compiled: dict[str, Compiled] = field(default_factory=dict, repr=False, compare=False)

    def check(self, name: str, arguments: Any) -> list[Finding]:
        """Everything wrong with a call, [] when nothing is. Never raises, whatever the arguments are."""
        try:
            is_plain, iter_errors, takes_context = self.compiled[name]
        except (KeyError, TypeError):
            message = f"there is no tool {shown(name)}.{did_you_mean(name, self.tools)}"
            return [Finding("unknown-tool", message, "name")]
        try:
            if is_plain(arguments) and not (takes_context and next(iter(arguments)) != "context"):
                return []
            tool = self.tools[name]
            findings = explain(iter_errors(arguments), tool.parameters, own_context=not tool.foreign)
        except Exception as error:  # surrogates, sets, cycles: whatever JSON cannot hold
            findings = [Finding("wrong-type", f"the arguments cannot be written as JSON: {shown(str(error))}.")]
        if type(arguments) is dict:
            if takes_context:
                findings += _context_rules(arguments)
            for place in self.tools[name].path_places:
                findings += _path_rules(arguments, place, "arguments")
        return findings

    def openai_tools(self) -> Written:
        """The tools as an OpenAI-style `tools` list."""
        return self._openai_tools

    @cached_property
    def _openai_tools(self) -> Written:
        return Written(
            {
                "type": "function",
                "function": {"name": tool.name, "description": tool.description, "parameters": tool.parameters},
            }
            for tool in self.tools.values()
        )

    @cached_property
    def agents(self) -> dict[str, list[str]]:
        """Tool names by agent, in file order."""
        groups: dict[str, list[str]] = {}
        for tool in self.tools.values():
            groups.setdefault(tool.agent, []).append(tool.name)
        return groups


def _context_rules(arguments: dict) -> Iterator[Finding]:
    """What no schema can say: context comes first, and a memory of blanks or invisible characters is no memory."""
    first = next(iter(arguments), "context")
    if first != "context" and "context" in arguments:
        yield Finding("context-not-first", f"context must be the first argument; {shown(first)} is.")
    context = arguments.get("context")
    memory = context.get("sessionMemory") if type(context) is dict else None
    if type(memory) is str and memory and not any(char.isprintable() and char != " " for char in memory):
        yield Finding("empty-memory", "sessionMemory holds nothing visible.", MEMORY_PATH)


def _path_rules(value: Any, place: tuple[str, ...], where: str) -> list[Finding]:
    """A path-escape finding for every string at this place that leaves the vault."""
    if not place:
        problem = path_problem(value) if type(value) is str else None
        return [Finding("path-escape", f"{shown(value)} {problem}.", where)] if problem else []
    step, rest = place[0], place[1:]
    if step == "*":
        if type(value) is not list:
            return []
        return [finding for index, item in enumerate(value) for finding in _path_rules(item, rest, f"{where}[{index}]")]
    if type(value) is not dict or step not in value:
        return []
    return _path_rules(value[step], rest, f"{where}.{step}")


@lru_cache(maxsize=8)
def load_toolset(path=DEFAULT_TOOLS) -> Toolset:
    """The toolset of a file; a fault in it is CannotRun naming the tool and the place."""
    try:
        data = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise CannotRun(f"{path}: {error.strerror or error}. It should hold the tool schemas.") from error
    except ValueError as error:
        raise CannotRun(f"{path}: not JSON ({error}).") from error
    entries = data.get("tools") if isinstance(data, dict) else None
    if not isinstance(entries, list) or not entries:
        raise CannotRun(f'{path}: there is no list "tools" with at least one tool.')
    definitions = data.get("$defs", {})
    tools: dict[str, Tool] = {}
    compiled = {}
    for number, entry in enumerate(entries, start=1):
        tool = _load_tool(path, number, entry, definitions)
        if tool.name in tools:
            raise CannotRun(f"{path}: {tool.name}: the name is used twice.")
        tools[tool.name], compiled[tool.name] = tool, _compile(path, tool)
    fields = tuple(definitions.get("context", {}).get("required", ()))
    return Toolset(tools, fields, compiled)


def _load_tool(path, number: int, entry: Any, definitions: dict) -> Tool:
    """One entry of "tools", its references resolved."""
    name = entry.get("name") if isinstance(entry, dict) else None
    if not isinstance(name, str) or not name:
        raise CannotRun(f"{path}: tools[{number - 1}]: it has no name.")
    for key in ("agent", "mode", "description", "effect"):
        if not isinstance(entry.get(key), str) or not entry[key]:
            raise CannotRun(f"{path}: {name}: {key} is missing or no text.")
    if entry["effect"] not in EFFECTS:
        raise CannotRun(f"{path}: {name}: effect is {entry['effect']!r}; it must be one of {', '.join(EFFECTS)}.")
    schema = entry.get("parameters")
    if not isinstance(schema, dict) or schema.get("type") != "object":
        raise CannotRun(f'{path}: {name}: parameters must be a JSON Schema of type "object".')
    try:
        parameters = _resolve(schema, definitions)
    except LookupError as error:
        raise CannotRun(f"{path}: {name}: parameters: the reference {error} leads nowhere.") from None
    except RecursionError:
        raise CannotRun(f"{path}: {name}: parameters: a reference leads back to itself.") from None
    places = tuple(dict.fromkeys(find_paths(parameters)))
    return Tool(name, entry["agent"], entry["mode"], entry["description"], entry["effect"], parameters, places)


def _compile(path, tool: Tool) -> Compiled:
    import jsonschema_rs

    try:
        validator = jsonschema_rs.validator_for(tool.parameters, validate_formats=True)
    except (jsonschema_rs.ValidationError, ValueError) as error:
        place = place_of(list(getattr(error, "instance_path", [])))[len("arguments") :]
        raise CannotRun(f"{path}: {tool.name}: parameters{place}: {getattr(error, 'message', error)}.") from None
    plain = jsonschema_rs.validator_for(_plain(tool.parameters), validate_formats=True)
    return Compiled(plain.is_valid, validator.iter_errors, tool.takes_context)


def _plain(schema: Any, name: str = "") -> Any:
    """A stricter schema: paths must look harmless and a memory must hold a word, so that most calls need one look."""
    if isinstance(schema, list):
        return [_plain(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    stricter = {key: _plain(value, key) for key, value in schema.items()}
    if schema.get("format") == PATH_FORMAT:
        stricter["allOf"] = [*stricter.get("allOf", []), {"type": "string", "pattern": PLAIN}]
    if name == "sessionMemory":
        stricter["allOf"] = [*stricter.get("allOf", []), {"type": "string", "pattern": f"[{WORD}]"}]
    return stricter


def _resolve(schema: Any, definitions: dict) -> Any:
    """The schema with every {"$ref": "#/$defs/x"} replaced by that definition."""
    if isinstance(schema, list):
        return [_resolve(item, definitions) for item in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" not in schema:
        return {key: _resolve(value, definitions) for key, value in schema.items()}
    reference = schema["$ref"]
    name = reference.removeprefix("#/$defs/") if isinstance(reference, str) else ""
    if name not in definitions:
        raise LookupError(reference)
    return _resolve(definitions[name], definitions)


def without_context(arguments: dict) -> dict:
    """The arguments of a call without its context, which is the host's."""
    return {name: value for name, value in arguments.items() if name != "context"}


def in_schema_order(value: Any, schema: Any) -> Any:
    """The value with its keys as a grammar of the schema demands: required ones first, each kind in schema order.

    llama.cpp samples native calls through such a grammar, so a model must have learnt this order. Unknown keys go last.
    """
    if not isinstance(schema, dict):
        return value
    if isinstance(value, list):
        return [in_schema_order(item, schema.get("items")) for item in value]
    if not isinstance(value, dict):
        return value
    known, required = schema.get("properties", {}), schema.get("required", ())
    order = sorted(known, key=lambda name: name not in required)
    names = [name for name in order if name in value] + [name for name in value if name not in known]
    return {name: in_schema_order(value[name], known.get(name)) for name in names}


def find_paths(schema: Any, place: tuple[str, ...] = ()):
    """Every place of a vault path in a schema, conditional parts included."""
    if schema.get("format") == PATH_FORMAT:
        yield place
    for name, part in schema.get("properties", {}).items():
        yield from find_paths(part, (*place, name))
    if isinstance(schema.get("items"), dict):
        yield from find_paths(schema["items"], (*place, "*"))
    for keyword in ("allOf", "anyOf", "oneOf"):
        for part in schema.get(keyword, ()):
            yield from find_paths(part, place)
    for keyword in ("then", "else"):
        if keyword in schema:
            yield from find_paths(schema[keyword], place)
