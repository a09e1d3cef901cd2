"""Places in the arguments of a call: where the schema says something, with the schema and arguments that reach it."""

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from lib.toolset import Tool, Toolset

DATE, PATH = "2025-11-03", "Notes/Plan.md"


@dataclass(frozen=True, eq=False)
class Place:
    """Steps from the arguments to a value, the part of the schema that holds there, and valid arguments with it."""

    steps: tuple
    schema: dict
    arguments: dict

    @property
    def value(self) -> Any:
        found = self.arguments
        for step in self.steps:
            found = found[step]
        return found

    def put(self, value: Any) -> dict:
        """The arguments with another value here."""
        changed = copy.deepcopy(self.arguments)
        if not self.steps:
            return value
        holder = changed
        for step in self.steps[:-1]:
            holder = holder[step]
        holder[self.steps[-1]] = value
        return changed

    @property
    def kinds(self) -> tuple[str, ...]:
        """The JSON types allowed here; empty when the schema does not say."""
        kinds = self.schema.get("type", ())
        return (kinds,) if isinstance(kinds, str) else tuple(kinds)


def places(tool: Tool, arguments: dict, toolset: Toolset) -> Iterator[Place]:
    """The arguments as a whole, then every place in them but context; alternatives (oneOf) are not entered.

    An absent parameter, nested ones too, is put in with a value of its schema where the call stays valid with it.
    """
    yield from _below(
        Place((), tool.parameters, arguments), arguments, lambda changed: not toolset.check(tool.name, changed)
    )


def _below(place: Place, value: Any, valid: Callable[[dict], bool]) -> Iterator[Place]:
    """This place and those inside its value."""
    yield place
    if isinstance(value, list) and isinstance(place.schema.get("items"), dict):
        for index, item in enumerate(value[:2]):
            yield from _below(Place((*place.steps, index), place.schema["items"], place.arguments), item, valid)
    if not isinstance(value, dict):
        return
    for part in (place.schema, *_conditional(place.schema, value)):
        for name, schema in part.get("properties", {}).items():
            if name == "context" and not place.steps:
                continue
            item = value[name] if name in value else sample(schema)
            filled = place.arguments if name in value else place.put({**value, name: item})
            if name in value or valid(filled):
                yield from _below(Place((*place.steps, name), schema, filled), item, valid)


def _conditional(schema: dict, value: dict) -> Iterator[dict]:
    """The `then` parts whose condition the value meets."""
    import jsonschema_rs

    for part in (schema, *schema.get("allOf", ())):
        if "if" in part and jsonschema_rs.is_valid(part["if"], value):
            yield part.get("then", {})


def sample(schema: dict) -> Any:
    """A plain value of a schema; seldom one that does not fit, so check it."""
    if "enum" in schema:
        return schema["enum"][0]
    kind = schema.get("type", "object" if "oneOf" in schema else "string")
    if kind == "object":
        return {name: sample(part) for name, part in schema.get("properties", {}).items()}
    if kind == "array":
        return [sample(schema.get("items", {}))]
    if kind in ("number", "integer"):
        return schema.get("minimum", 1)
    if kind == "boolean":
        return True
    return {"vault-path": PATH, "date": DATE}.get(schema.get("format"), "Plan")
