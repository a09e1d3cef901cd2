"""What the calls of good answers hold: tools and parameters used, values repeated or untraceable, context fields."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from math import log
from statistics import median

from lib.chat import Call, Example, Result, Text
from lib.coverage import Coverage, value_places, values_at
from lib.synth.plans import leaves
from lib.synth.visible import Seen, untraceable
from lib.toolset import Toolset, without_context

SEEN_ENOUGH = 5  # positive calls that an optional parameter needs
VALUE_ENOUGH = 3  # positive calls that an enum value needs


@dataclass
class Traces:
    """Text arguments that could be known when they were given, and those that could not."""

    known: int = 0
    lost: list[tuple[int, str, str]] = field(default_factory=list)  # (row from 0, tool, value)

    @property
    def share(self) -> float:
        total = self.known + len(self.lost)
        return self.known / total if total else 1.0


def covered(examples: Iterable[Example], toolset: Toolset) -> Coverage:
    """The counts of all examples."""
    coverage = Coverage(toolset)
    for example in examples:
        coverage.add(example)
    return coverage


def calls_by_tool(coverage: Coverage) -> Counter:
    """Calls in examples not labelled false, by tool, unknown ones included."""
    counts: Counter = Counter()
    for (name, label), number in coverage.tool_calls.items():
        if label != "false":
            counts[name] += number
    return counts


def entropy(counts: Iterable[int], kinds: int) -> float:
    """How evenly counts spread over this many kinds: 1 for the same count each, 0 for one kind alone."""
    counts = [number for number in counts if number]
    total = sum(counts)
    return -sum(number / total * log(number / total) for number in counts) / log(kinds) if total and kinds > 1 else 0.0


def rare_parameters(coverage: Coverage, nested: bool) -> tuple[int, dict[tuple[str, str], int]]:
    """(how many optional parameters there are, those in fewer than SEEN_ENOUGH positive calls with their calls).

    nested: those inside objects and lists, required or not, instead of the optional ones of the call itself.
    """
    counts = {}
    for name, places in coverage.places.items():
        required = coverage.toolset.tools[name].parameters.get("required", ())
        for place in places:
            if ("." in place) == nested and (nested or place not in required):
                counts[name, place] = coverage.parameters[name, place]
    return len(counts), {key: number for key, number in counts.items() if number < SEEN_ENOUGH}


def lone_booleans(coverage: Coverage) -> tuple[int, dict[tuple[str, str], str]]:
    """(how many boolean parameters there are, those not given both ways in positive calls: which way is missing)."""
    missing = {}
    places = [
        (name, place)
        for name, known in coverage.places.items()
        for place, values in known.items()
        if any(value is True for value in values)
    ]
    for name, place in places:
        never = [str(value).lower() for value in (True, False) if not coverage.values[name, place, value]]
        if never:
            missing[name, place] = " and ".join(never)
    return len(places), missing


def rare_values(coverage: Coverage) -> tuple[int, dict[tuple, int]]:
    """(how many enum values there are, those in fewer than VALUE_ENOUGH positive calls with their calls)."""
    counts = {
        (name, place, value): coverage.values[name, place, value]
        for name, places in coverage.places.items()
        for place, known in places.items()
        for value in known
        if not isinstance(value, bool)
    }
    return len(counts), {key: number for key, number in counts.items() if number < VALUE_ENOUGH}


def free_texts(examples: Iterable[Example], toolset: Toolset) -> dict[tuple[str, str], Counter]:
    """(tool, parameter) -> how often each text was given, for parameters whose schema lists no values."""
    places = {
        name: [place for place, known in value_places(tool.parameters, leave_out=("context",)).items() if not known]
        for name, tool in toolset.tools.items()
    }
    found: dict[tuple[str, str], Counter] = defaultdict(Counter)
    for example in examples:
        for call in example.calls:
            for place in places.get(call.name, ()):
                texts = [value for value in values_at(call.arguments, place.split(".")) if isinstance(value, str)]
                if texts:
                    found[call.name, place].update(texts)
    return dict(found)


def uniqueness(texts: dict[tuple[str, str], Counter]) -> dict[tuple[str, str], float]:
    """Different texts by all texts of each parameter."""
    return {key: len(counts) / counts.total() for key, counts in texts.items()}


def median_of(values: Iterable[float]) -> float:
    """The median, 0 for none."""
    values = list(values)
    return median(values) if values else 0.0


def trace(examples: Iterable[Example]) -> Traces:
    """Each text argument looked for in what was said and shown before it; the schema's own values count as known."""
    traces = Traces()
    for row, example in enumerate(examples):
        seen = Seen("")
        for turn in example.turns:
            for part in turn.parts:
                if isinstance(part, Text) and turn.role != "assistant":
                    seen.hear(part.text)
                elif isinstance(part, Result) and isinstance(part.content, dict):
                    seen.add(part.content)
                elif isinstance(part, Call):
                    add_call(traces, row, part, seen)
    return traces


def add_call(traces: Traces, row: int, call: Call, seen: Seen) -> None:
    """Count one call's texts as known or lost."""
    own = without_context(call.arguments)
    lost = [value for value in untraceable(call.name, own, seen) if isinstance(value, str)]
    traces.known += sum(isinstance(leaf, str) for leaf in leaves(own)) - len(lost)
    traces.lost += [(row, call.name, value) for value in lost]


def context_values(examples: Iterable[Example], name: str) -> list[tuple[int, object]]:
    """(row from 0, value) of one context field of every call; None where it is absent."""
    found = []
    for row, example in enumerate(examples):
        for call in example.calls:
            context = call.arguments.get("context")
            found.append((row, context.get(name) if isinstance(context, dict) else None))
    return found
