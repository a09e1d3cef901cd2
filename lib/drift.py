"""A changed toolset against rows written for the old one: what was renamed, which rows break, how they are mended."""

from dataclasses import dataclass, field, replace
from typing import Any

from lib.chat import Call, Example, Turn
from lib.toolset import Toolset


@dataclass(frozen=True)
class Renames:
    """Pure renames, old name -> new: of tools, and of parameters by (new) tool; the schemas are the same otherwise."""

    tools: dict[str, str] = field(default_factory=dict)
    parameters: dict[str, dict[str, str]] = field(default_factory=dict)


@dataclass(frozen=True)
class Broken:
    """A row that the new toolset refuses: what it finds that the old one did not, and the mended row if any."""

    line: int
    findings: tuple
    migrated: Example | None


def bare(schema: Any) -> Any:
    """A schema without its texts, for comparison."""
    if isinstance(schema, dict):
        return {key: bare(value) for key, value in schema.items() if key not in ("description", "examples", "title")}
    return [bare(item) for item in schema] if isinstance(schema, list) else schema


def find_renames(old: Toolset, new: Toolset) -> Renames:
    """What has only got another name: gone here, new there, everything else equal, and no second thing fits as well."""
    gone = {name: bare(tool.parameters) for name, tool in old.tools.items() if name not in new.tools}
    come = {name: bare(tool.parameters) for name, tool in new.tools.items() if name not in old.tools}
    tools = matched(gone, come)
    parameters = {}
    for name, tool in old.tools.items():
        later = new.tools.get(tools.get(name, name))
        if later is None:
            continue
        before, after = described(tool.parameters), described(later.parameters)
        pairs = matched(
            {key: value for key, value in before.items() if key not in after},
            {key: value for key, value in after.items() if key not in before},
        )
        if pairs:
            parameters[later.name] = pairs
    return Renames(tools, parameters)


def described(parameters: dict) -> dict:
    """Each parameter's schema with whether it must be given."""
    required = parameters.get("required", ())
    return {key: (bare(schema), key in required) for key, schema in parameters.get("properties", {}).items()}


def matched(gone: dict, come: dict) -> dict:
    """old -> new where each is the other's only equal."""
    pairs = {}
    for name, value in gone.items():
        fits = [other for other, found in come.items() if found == value]
        if len(fits) == 1 and sum(found == value for found in gone.values()) == 1:
            pairs[name] = fits[0]
    return pairs


def new_findings(example: Example, old: Toolset, new: Toolset, renames: Renames | None = None) -> tuple:
    """What the new toolset finds in an example's calls that the old one did not find in the call as it was written."""
    found = []
    for call in example.calls:
        before = {(finding.code, finding.path) for finding in old.check(call.name, call.arguments)}
        later = renamed(call, renames) if renames else call
        found += [item for item in new.check(later.name, later.arguments) if (item.code, item.path) not in before]
    return tuple(found)


def renamed(call: Call, renames: Renames) -> Call:
    """The call under the new names; the order of arguments stays."""
    name = renames.tools.get(call.name, call.name)
    keys = renames.parameters.get(name, {})
    return replace(call, name=name, arguments={keys.get(key, key): value for key, value in call.arguments.items()})


def migrate(example: Example, renames: Renames) -> Example:
    """The example with every call under the new names."""
    turns = tuple(
        Turn(turn.role, tuple(renamed(part, renames) if isinstance(part, Call) else part for part in turn.parts))
        for turn in example.turns
    )
    return replace(example, turns=turns)


def check_row(line: int, example: Example, old: Toolset, new: Toolset, renames: Renames) -> Broken | None:
    """What became of one row: None when it is as good as before; else with a mended row where renaming mends it."""
    findings = new_findings(example, old, new)
    if not findings:
        return None
    mended = not new_findings(example, old, new, renames)
    return Broken(line, findings, migrate(example, renames) if mended else None)
