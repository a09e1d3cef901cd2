"""Candidates and negatives without their runs: all that choosing looks at, small enough to travel between processes."""

from dataclasses import dataclass, field
from functools import cache
from typing import NamedTuple

from lib.coverage import Coverage, values_at
from lib.diversity import opening, phrasing, skeleton
from lib.synth.plans import leaves
from lib.synth.rows import ACTING, example_row
from lib.toolset import load_toolset

SHAPES = ("single", "several", "lookup", "repair", "ask", "other")
ANSWERS = ("ask", "refuse", "direct")  # kinds of answer without a call
LENGTHS = {  # words of a request: from, to
    "few_words": (0, 4),
    "brief": (0, 13),
    "many_words": (40, 10**6),
}


class Measures(NamedTuple):
    """What can be seen of an answer without reading it."""

    closing: int  # characters of the last sentence
    length: int  # characters of the whole answer
    calls: int
    errors: int  # results that report a failure
    memory: float  # characters of sessionMemory, the mean over the calls


@dataclass(frozen=True)
class Sketch:
    """A positive as selection sees it."""

    id: str
    intent: str
    key: str  # intent or twin, which with the number makes it again
    number: int
    kind: str
    tool: str
    tools: tuple  # of every call
    frame: str
    binding: str
    world: str
    request: str
    measures: Measures
    twin: str = ""  # what both rows of a pair have in common
    shape: str = ""
    answer_kind: str = ""
    act: str = ""  # speech act of the request
    opening: str = ""  # its first word
    skeleton: str = ""  # what is left of it without names, paths, numbers and the values of the calls
    ways: tuple = ()  # how it is put, see ways_of
    gives: tuple = ()  # see given_by
    memories: tuple = ()  # sessionMemory of every call

    @property
    def group(self):
        """What it is counted under: its tool, or its kind of answer when it calls none."""
        return self.tool or self.kind


@dataclass(frozen=True)
class Fault:
    """A negative as selection sees it."""

    id: str
    source: Sketch = field(repr=False)
    family: str
    reason: str
    measures: Measures
    answer_kind: str


def shape_of(kind, calls):
    """What a positive's row looks like: single, several, lookup, repair, ask or other."""
    if kind in ("lookup", "repair", "ask"):
        return kind
    if kind == "act":
        return "single" if calls == 1 else "several"
    return "other"


def ways_of(request):
    """How a request is put: question, lower, polite, first_person, imperative, and its LENGTHS."""
    words = len(request.split())
    lengths = {name for name, (low, high) in LENGTHS.items() if low <= words <= high}
    return tuple(sorted(phrasing(request) | lengths))


@cache
def places():
    """tool -> its parameters, with the enum values or booleans each can take."""
    return Coverage(load_toolset()).places


def given_by(tool, act, steps):
    """What a row adds to the coverage: (parameter, tool, place), (value, tool, place, value), (act, tool, act)."""
    found = {("act", tool, act)} if tool else set()
    for step in steps:
        for place, known in places().get(step.tool, {}).items():
            values = list(values_at(step.arguments, place.split(".")))
            if values:
                found.add(("parameter", step.tool, place))
            # True == 1 in Python, so the types are compared as well.
            given = {(type(value), str(value)) for value in values}
            found |= {("value", step.tool, place, str(v)) for v in known if (type(v), str(v)) in given}
    return tuple(sorted(found))


def texts_given(steps):
    """The text arguments of the calls, without those of their contexts."""
    own = [{key: value for key, value in step.arguments.items() if key != "context"} for step in steps]
    return tuple(leaf for leaf in leaves(own) if isinstance(leaf, str))


def measures(request, run, answer):
    memories = [(step.arguments.get("context") or {}).get("sessionMemory") or "" for step in run.steps]
    row = example_row(request, run, answer, True)
    return Measures(
        closing=len(answer),
        length=len(row["conversations"][1]["content"]),
        calls=len(run.steps),
        errors=sum(not step.ok for step in run.steps),
        memory=sum(len(str(memory)) for memory in memories) / max(1, len(memories)),
    )


def positive_kind(candidate):
    """call, ask, refuse or direct for a positive."""
    if candidate.run.steps or candidate.intent.kind in ACTING:
        return "call"
    return {"ask": "ask", "cannot": "refuse"}.get(candidate.intent.kind, "direct")


def answer_kind(run, reason):
    """call, ask, refuse or direct: what a reader would say a negative does."""
    if run.steps:
        return "call"
    return {"needless-question": "ask", "needless-refusal": "refuse"}.get(reason, "direct")


def sketch(candidate):
    intent = candidate.intent
    return Sketch(
        id=candidate.id,
        intent=intent.id,
        key=intent.key,
        number=candidate.number,
        kind=intent.kind,
        tool=candidate.tool,
        tools=tuple(step.tool for step in candidate.run.steps),
        frame=candidate.frame,
        binding=candidate.binding,
        world=candidate.expanded.world,
        request=candidate.request,
        measures=measures(candidate.request, candidate.run, candidate.answer),
        twin=f"{intent.twin}/{candidate.number}" if intent.twin else "",
        shape=shape_of(intent.kind, len(candidate.run.steps)),
        answer_kind=positive_kind(candidate),
        act=candidate.act,
        opening=" ".join(opening(candidate.request, 1)),
        skeleton=skeleton(candidate.request, texts_given(candidate.run.steps)),
        ways=ways_of(candidate.request),
        gives=given_by(candidate.tool, candidate.act, candidate.run.steps),
        memories=tuple(step.arguments["context"]["sessionMemory"] for step in candidate.run.steps),
    )


def fault(negative, source):
    """The sketch of a negative; source is the sketch of its positive."""
    return Fault(
        id=negative.id,
        source=source,
        family=negative.family,
        reason=negative.reason,
        measures=measures(negative.request, negative.run, negative.answer),
        answer_kind=answer_kind(negative.run, negative.reason),
    )
