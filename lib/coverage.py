"""What a dataset covers: examples and calls per tool, agent, parameter, enum value and boolean; the label balance.

Parameters that most tools share, such as context, tell nothing about coverage and are left out.
"""

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

from lib.chat import Call, Example
from lib.toolset import Toolset

LABELS = {True: "true", False: "false", None: "none"}


@dataclass
class Coverage:
    """Counts over examples; add them one by one. Calls of examples labelled false are counted apart."""

    toolset: Toolset
    examples: Counter = field(default_factory=Counter)  # by label
    tool_examples: Counter = field(default_factory=Counter)  # (tool, label): examples with at least one call
    tool_calls: Counter = field(default_factory=Counter)  # (tool, label)
    parameters: Counter = field(default_factory=Counter)  # (tool, parameter), positive calls only
    values: Counter = field(default_factory=Counter)  # (tool, parameter, enum value or boolean), positive calls only
    calls_per_example: Counter = field(default_factory=Counter)

    def __post_init__(self) -> None:
        tools = self.toolset.tools.values()
        names = Counter(name for tool in tools for name in tool.parameters.get("properties", {}))
        shared = {name for name, count in names.items() if len(names) > 1 and count > len(tools) / 2 and len(tools) > 2}
        self.places = {tool.name: value_places(tool.parameters, leave_out=shared) for tool in tools}

    def add(self, example: Example) -> None:
        """Count one example in."""
        label = LABELS[example.label]
        calls = example.calls
        self.examples[label] += 1
        self.calls_per_example[len(calls)] += 1
        for name in {call.name for call in calls}:
            self.tool_examples[name, label] += 1
        for call in calls:
            self.tool_calls[call.name, label] += 1
            if example.label is not False:
                self._add_arguments(call)

    def _add_arguments(self, call: Call) -> None:
        for place, known in self.places.get(call.name, {}).items():
            found = list(values_at(call.arguments, place.split(".")))
            self.parameters[call.name, place] += bool(found)
            for value in known:
                # True == 1 in Python, so the types are compared as well.
                self.values[call.name, place, value] += any(v == value and type(v) is type(value) for v in found)

    def positives(self, tool: str) -> int:
        """Examples not labelled false that call the tool."""
        return self.tool_examples[tool, "true"] + self.tool_examples[tool, "none"]

    def below(self, floor: int) -> dict[str, int]:
        """Tools with fewer positive examples than floor, and how many they have."""
        return {name: self.positives(name) for name in self.toolset.tools if self.positives(name) < floor}

    def unknown_tools(self) -> dict[str, int]:
        """Calls of tools that do not exist, by name."""
        unknown: Counter = Counter()
        for (name, _), count in self.tool_calls.items():
            if name not in self.toolset.tools:
                unknown[name] += count
        return dict(unknown.most_common())

    def missing_parameters(self) -> list[tuple[str, str]]:
        """(tool, parameter) pairs that no positive call uses."""
        return [
            (name, place)
            for name, places in self.places.items()
            for place in places
            if not self.parameters[name, place]
        ]

    def missing_values(self) -> list[tuple[str, str, Any]]:
        """(tool, parameter, value) for every enum value and boolean that no positive call gives."""
        return [
            (name, place, value)
            for name, places in self.places.items()
            for place, values in places.items()
            for value in values
            if not self.values[name, place, value]
        ]

    def to_dict(self) -> dict:
        """All counts, for programs."""
        return {
            "examples": dict(self.examples),
            "calls_per_example": {
                str(count): self.calls_per_example[count] for count in sorted(self.calls_per_example)
            },
            "agents": {
                agent: {
                    "calls": sum(self.tool_calls[name, label] for name in names for label in LABELS.values()),
                    "positive_calls": sum(self.tool_calls[name, label] for name in names for label in ("true", "none")),
                }
                for agent, names in self.toolset.agents.items()
            },
            "tools": {name: self._tool(name) for name in self.toolset.tools},
            "unknown_tools": self.unknown_tools(),
        }

    def _tool(self, name: str) -> dict:
        places = self.places[name]
        return {
            "examples": {label: self.tool_examples[name, label] for label in LABELS.values()},
            "calls": {label: self.tool_calls[name, label] for label in LABELS.values()},
            "parameters": {
                place: {
                    "calls": self.parameters[name, place],
                    "values": [{"value": value, "calls": self.values[name, place, value]} for value in values],
                }
                for place, values in places.items()
            },
        }


def value_places(schema: dict, prefix: str = "", leave_out: Collection[str] = ()) -> dict[str, tuple]:
    """Parameter names ("a", "a.b", "list.c") with the enum values or booleans each can take."""
    places: dict[str, tuple] = {}
    for name, part in schema.get("properties", {}).items():
        if not prefix and name in leave_out:
            continue
        place = f"{prefix}{name}"
        items = part.get("items", {})
        places.setdefault(place, _known_values(part) or _known_values(items))
        for inner in (part, items):
            for found, values in value_places(inner, f"{place}.").items():
                places.setdefault(found, values)
    for keyword in ("allOf", "anyOf", "oneOf"):
        for branch in schema.get(keyword, ()):
            for inner in (branch, branch.get("then", {})):
                for found, values in value_places(inner, prefix, leave_out).items():
                    places.setdefault(found, values)
    return places


def _known_values(schema: dict) -> tuple:
    if "enum" in schema:
        return tuple(schema["enum"])
    return (True, False) if schema.get("type") == "boolean" else ()


def values_at(value: Any, steps: list[str]):
    """Every value at a place, stepping into each item of a list."""
    if isinstance(value, list):
        for item in value:
            yield from values_at(item, steps)
    elif not steps:
        yield value
    elif isinstance(value, dict) and steps[0] in value:
        yield from values_at(value[steps[0]], steps[1:])
