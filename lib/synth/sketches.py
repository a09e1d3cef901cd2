"""Candidates and negatives without their runs: all that choosing looks at, small enough to travel between processes."""

from array import array
from dataclasses import dataclass, field
from functools import cache
from typing import NamedTuple

from lib.chat import to_text_row
from lib.coverage import Coverage, values_at
from lib.diversity import opening, phrasing, skeleton
from lib.leak import answer_kind, shape
from lib.synth.plans import texts_given
from lib.synth.rows import example_of
from lib.toolset import load_toolset

SHAPES = ("single", "several", "lookup", "repair", "ask", "report", "other")
ANSWERS = ("ask", "refuse", "direct")  # kinds of answer without a call
LENGTHS = {  # words of a request: from, to
    "few_words": (0, 4),
    "brief": (0, 13),
    "many_words": (40, 10**6),
}
RATIOS = (  # what two measures tell together and neither alone
    ("characters of words", "closing words"), ("punctuation in words", "closing words"),
    ("capitals in words", "closing words"), ("digits in words", "closing words"), ("closing words", "sentences"),
    ("argument characters", "arguments"), ("longest argument text", "argument characters"),
    ("texts in arguments", "arguments"), ("digits in arguments", "argument characters"),
    ("answer characters", "calls"), ("answer characters", "result characters"), ("tools", "calls"),
)  # fmt: skip


class Measures(NamedTuple):
    """What can be seen of an answer without reading it."""

    closing: int  # characters of the last sentence
    length: int  # characters of the whole answer
    calls: int
    errors: int  # results that report a failure
    memory: float  # characters of sessionMemory, the mean over the calls
    failed_last: bool = False  # the last result reports a failure
    looks: bytes = b""  # all that lib.leak.shape measures, and RATIOS, as doubles


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


def shape_of(kind, plan):
    """What a positive's row looks like: one of SHAPES."""
    if kind in ("lookup", "repair", "ask"):
        return kind
    if kind == "act":
        return "single" if len(plan) == 1 else "several"
    return "report" if plan and plan[-1].get("fails") else "other"


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


def measures(example, run, answer):
    memories = [(step.arguments.get("context") or {}).get("sessionMemory") or "" for step in run.steps]
    row = to_text_row(example)
    seen = shape(example, load_toolset().context_fields)
    return Measures(
        closing=len(answer),
        length=len(row["conversations"][1]["content"]),
        calls=len(run.steps),
        errors=sum(not step.ok for step in run.steps),
        memory=sum(len(str(memory)) for memory in memories) / max(1, len(memories)),
        failed_last=bool(run.steps) and not run.steps[-1].ok,
        looks=array("d", [*seen.values(), *(seen[one] / max(1, seen[other]) for one, other in RATIOS)]).tobytes(),
    )


def sketch(candidate):
    intent = candidate.intent
    example = example_of(candidate.request, candidate.run, candidate.answer, True)
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
        measures=measures(example, candidate.run, candidate.answer),
        twin=f"{intent.twin}/{candidate.number}" if intent.twin else "",
        shape=shape_of(intent.kind, candidate.plan),
        answer_kind=answer_kind(example),
        act=candidate.act,
        opening=" ".join(opening(candidate.request, 1)),
        skeleton=skeleton(candidate.request, texts_given(candidate.run.steps)),
        ways=ways_of(candidate.request),
        gives=given_by(candidate.tool, candidate.act, candidate.run.steps),
        memories=tuple(step.arguments["context"]["sessionMemory"] for step in candidate.run.steps),
    )


def fault(negative, source):
    """The sketch of a negative; source is the sketch of its positive."""
    example = example_of(negative.request, negative.run, negative.answer, False)
    return Fault(
        id=negative.id,
        source=source,
        family=negative.family,
        reason=negative.reason,
        measures=measures(example, negative.run, negative.answer),
        answer_kind=answer_kind(example),
    )
