"""What the scenario material and the shipped rows still lack, as a list of what to write next, cheapest first."""

from collections import Counter, defaultdict
from dataclasses import dataclass
from functools import cache
from typing import Any

from lib.gates import load_gates
from lib.hygiene import SEEN_ENOUGH, VALUE_ENOUGH

MINUTES = {  # that one missing piece costs to write
    "positives": 4,  # rows for each tool
    "intents": 10,  # for each tool
    "acts": 1,  # requests for each tool and speech act
    "parameter": 8,  # positive calls that use an optional parameter
    "value": 8,  # positive calls with an enum value, and with true and false
    "worlds": 120,
    "bank": 2,  # records in each bank of each world
}
GATED = {"positives": "sft.fewest_positives", "intents": "sft.fewest_intents"}


@dataclass(frozen=True)
class Gap:
    """One thing to write: minutes it takes, where it goes, what it is, how many there are and how many are wanted."""

    minutes: int
    file: str
    what: str
    have: int
    want: int


@cache
def wanted() -> dict[str, int]:
    """How many of each kind there should be: what the gates ask for, and what no gate measures."""
    lowest = {gate.name: gate.low for gate in load_gates()["sft"]}
    gated = {kind: int(lowest[name]) for kind, name in GATED.items()}
    return gated | {"acts": 1, "parameter": SEEN_ENOUGH, "value": VALUE_ENOUGH, "worlds": 12, "bank": 6}


def gap(kind: str, file: str, what: str, have: int) -> list[Gap]:
    """The gap of a kind, none when enough is there."""
    want = wanted()[kind]
    return [Gap(MINUTES[kind] * (want - have), file, what, have, want)] if have < want else []


def find_gaps(material: Any, coverage: Any, tools: Any = None) -> list[Gap]:
    """Every gap, cheapest first. material: lib.synth.material.Material; coverage: lib.coverage.Coverage of the rows."""
    tools = tools or coverage.toolset.tools
    found = [*intent_gaps(material, tools), *world_gaps(material), *row_gaps(coverage, tools)]
    return sorted(found, key=lambda item: (item.minutes, item.file, item.what))


def intent_gaps(material: Any, tools: Any) -> list[Gap]:
    """Tools with few intents, and speech acts in which nobody asks for a tool."""
    from lib.synth.material import ACTS

    intents = Counter(intent.tool for intent in material.intents)
    acts: dict[str, Counter] = defaultdict(Counter)
    for intent in material.intents:
        acts[intent.tool].update(act for act, _ in intent.asks)
    found = []
    for name in tools:
        file = f"intents/{name.partition('_')[0]}.yaml"
        found += gap("intents", file, f"intents of {name}", intents[name])
        for act in ACTS:
            found += gap("acts", file, f"a request in the act '{act}' for {name}", acts[name][act])
    return found


def world_gaps(material: Any) -> list[Gap]:
    """Missing worlds, and short banks of those that are there."""
    from lib.synth.material import BANKS

    found = gap("worlds", "worlds/", "worlds", len(material.worlds))
    for name, world in material.worlds.items():
        for bank in BANKS:
            records = len(world["banks"].get(bank) or ())
            found += gap("bank", f"worlds/{name}.yaml", f"records in banks.{bank}", records)
    return found


def row_gaps(coverage: Any, tools: Any) -> list[Gap]:
    """Tools with few rows, and parameters, flags and enum values that rows hardly use."""
    found = []
    for name in tools:
        file = f"intents/{name.partition('_')[0]}.yaml"
        found += gap("positives", file, f"rows of {name}, by more intents or more weight", coverage.positives(name))
        for place, values in coverage.places[name].items():
            used = coverage.parameters[name, place]
            found += gap("parameter", file, f"an intent of {name} that uses {place}", used)
            for value in values:
                have = coverage.values[name, place, value]
                found += gap("value", file, f"an intent of {name} with {place} = {value!r}", have)
    return found
