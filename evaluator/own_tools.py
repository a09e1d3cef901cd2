"""Tools of your own, read from the forms that people keep them in, as a toolset that a suite is asked and judged with.

| form                                                                             | written by              |
|----------------------------------------------------------------------------------|-------------------------|
| a list (or {"tools": list}) of {"type": "function", "function": {...}}           | OpenAI                  |
| a list (or {"tools": list}) of {"name", "description", "parameters"}             | BFCL and many others    |
| the same with "inputSchema" or "input_schema"                                    | MCP's tools/list, others |
| {name: JSON Schema} or {name: {"description", "parameters"}}                     | a map                   |
| {"tools": [{"name", "agent", "mode", "effect", ...}], "$defs"}                   | configs/tools.json      |

Type words of other languages are read as evaluator/schemas.py says. Beside its schema a tool may say its "effect":
read, write (taken when nothing is said) or destructive.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from evaluator.schemas import compiled, read_schema
from lib.errors import CannotRun
from lib.toolset import DEFAULT_TOOLS, EFFECTS, Compiled, Tool, Toolset, load_toolset

SCHEMA_KEYS = ("parameters", "inputSchema", "input_schema")
FORMS = "OpenAI's tools list, a map of name to JSON Schema, or a file like configs/tools.json"


def load_tools(path: Path) -> Toolset:
    """The toolset of a file in any of the forms; CannotRun names the file, the tool and what is wrong with it."""
    if path == DEFAULT_TOOLS:
        return load_toolset(path)
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise CannotRun(f"{path}: {error.strerror or error}. It should hold your tools: {FORMS}.") from error
    except (ValueError, RecursionError) as error:
        raise CannotRun(f"{path}: not JSON ({error}).") from error
    entries = data.get("tools") if isinstance(data, dict) else None
    if isinstance(entries, list) and entries and all(isinstance(entry, dict) and "agent" in entry for entry in entries):
        return load_toolset(path)
    tools: dict[str, Tool] = {}
    ready: dict[str, Compiled] = {}
    for where, entry in listed(data, path):
        tool = tool_from_entry(entry, where)
        if tool.name in tools:
            raise CannotRun(f"{where}: the name {tool.name} is used twice.")
        tools[tool.name], ready[tool.name] = tool, _compile(tool, where)
    if not tools:
        raise CannotRun(f"{path}: there is no tool in it. Known forms: {FORMS}.")
    return Toolset(tools, (), ready)


def listed(data: Any, path: Path) -> Iterator[tuple[str, dict]]:
    """(where, tool) for each tool of a file that is not in our own form."""
    if isinstance(data, dict) and isinstance(data.get("tools"), list):
        data = data["tools"]
    if isinstance(data, list):
        yield from ((f"{path}: tools[{number}]", entry) for number, entry in enumerate(data))
        return
    if not isinstance(data, dict):
        raise CannotRun(f"{path}: a JSON {type(data).__name__}. Known forms: {FORMS}.")
    for name, value in data.items():
        if not isinstance(value, dict):
            raise CannotRun(f"{path}: {name}: is no object. Known forms: {FORMS}.")
        if any(key in value for key in SCHEMA_KEYS):
            yield f"{path}: {name}", {**value, "name": name}
        elif value.keys() & {"type", "properties", "$ref"}:
            yield f"{path}: {name}", {"name": name, "description": value.get("description", ""), "parameters": value}
        else:
            raise CannotRun(f'{path}: {name}: is neither a JSON Schema nor an object with "parameters".')


def tool_from_entry(entry: Any, where: str) -> Tool:
    """One tool in OpenAI's, MCP's or the bare form, its schema in JSON Schema's own words."""
    if isinstance(entry, dict) and isinstance(entry.get("function"), dict):
        entry = entry["function"]
    name = entry.get("name") if isinstance(entry, dict) else None
    if not isinstance(name, str) or not name.strip():
        raise CannotRun(f"{where}: it has no name.")
    key = next((key for key in SCHEMA_KEYS if key in entry), None)
    schema = entry[key] if key else {"type": "object", "properties": {}}
    schema = read_schema(schema, tuples=isinstance(schema, dict) and "$schema" not in schema)
    if not isinstance(schema, dict) or schema.get("type", "object") != "object":
        raise CannotRun(f'{where}: {name}: {key} must be a JSON Schema of type "object".')
    effect = entry.get("effect", "write")
    if effect not in EFFECTS:
        raise CannotRun(f"{where}: {name}: effect is {effect!r}; it must be one of {', '.join(EFFECTS)}.")
    description = entry.get("description") or ""
    return Tool(name, "", "", str(description), effect, {"type": "object", **schema}, foreign=True)


def _compile(tool: Tool, where: str) -> Compiled:
    try:
        _, errors_of = compiled(json.dumps(tool.parameters))
    except (ValueError, RecursionError) as error:
        reason = getattr(error, "message", str(error)).partition("\n")[0]
        raise CannotRun(f"{where}: {tool.name}: its parameters are no JSON Schema ({reason}).") from None
    return Compiled(lambda arguments: next(iter(errors_of(arguments)), None) is None, errors_of, False)
