"""One candidate row: an intent bound to a vault, phrased, run, and judged by everything a row must satisfy."""

from dataclasses import dataclass, field
from functools import cached_property

from lib.chat import Call, Example, Result, Text, Turn, to_text_row
from lib.synth.given import changed_vault, fill_given
from lib.synth.phrasing import Context, close_text, too_long, worded
from lib.synth.plans import Run, effect, goal_holds, run_plan, schema_findings
from lib.synth.seeds import digest, dump_row, generator
from lib.synth.templates import ABSENT, Gap, Unseen, look_up, plain
from lib.synth.visible import invisible_values, unbacked_claims
from lib.synth.worlds import candidates, expand

ACTING = ("act", "lookup", "repair")


class Reject(Exception):
    """Why a candidate is no row: a fixed code, and what was seen."""

    def __init__(self, code, detail=""):
        super().__init__(f"{code}: {detail}" if detail else code)
        self.code = code
        self.detail = detail
        self.intent = None  # set where candidates of several intents are made together


@dataclass(frozen=True)
class Candidate:
    """A positive row that held in every check, with what its negatives are made from."""

    id: str
    intent: object
    expanded: object
    scope: dict = field(repr=False)
    act: str
    frame: str
    request: str
    run: Run = field(repr=False)
    answer: str
    plan: tuple = field(repr=False)
    context: Context = field(repr=False)
    number: int = 0  # which try of its intent
    given: dict = field(default_factory=dict)  # how the vault was changed before the run

    @property
    def tool(self):
        return self.intent.tool

    @property
    def group(self):
        """What quotas count it under: its tool, or its kind of answer when it calls none."""
        return self.intent.tool or self.intent.kind

    @cached_property
    def binding(self):
        """What the slots were bound to, as text."""
        return digest(self.expanded.world, plain(dict(self.scope)))


class Worlds:
    """Vaults by world and seed, each built once."""

    def __init__(self, material, seeds):
        self.material = material
        self.seeds = seeds
        self.built = {}

    def get(self, name, seed):
        key = (name, seed)
        if key not in self.built:
            self.built[key] = expand(self.material.worlds[name], seed)
        return self.built[key]

    def choose(self, intent, number):
        """(world, template) of the number-th try: all worlds in turn, and each with one request after the other."""
        names = [name for name in self.material.worlds if not intent.worlds or name in intent.worlds]
        if not names:
            raise Reject("no-world", ", ".join(intent.worlds))
        offset, start = int(digest(intent.key), 16), int(digest(intent.key, "ask"), 16)
        round_number, place = divmod(number, len(names))
        expanded = self.get(names[(offset + number) % len(names)], (offset // 7 + round_number) % self.seeds)
        return expanded, intent.asks[(start + place + round_number) % len(intent.asks)]


def example_of(request, run, answer, label):
    """Request, calls with their results, and last sentence as one Example."""
    parts = []
    for step in run.steps:
        parts += [Call(step.tool, step.arguments), Result(step.result)]
    parts.append(Text(answer))
    turns = (Turn("user", (Text(request),)), Turn("assistant", tuple(parts)))
    return Example(turns, label, None, {})


def example_row(request, run, answer, label):
    """The row as the dataset holds it."""
    return to_text_row(example_of(request, run, answer, label))


def bind(intent, expanded, rng):
    """Slot values drawn from the vault and its banks."""
    scope = {"world": {"name": expanded.world, "about": expanded.about}}
    for name, definition in intent.slots.items():
        options = candidates(expanded, definition, scope)
        if not options:
            raise Reject("no-slot", f"{name} in {expanded.world}")
        scope[name] = options[rng.randrange(len(options))]
    return scope


def make_candidate(intent, number, worlds, words, limit):
    """The number-th candidate of an intent; raises Reject with the reason when there is none."""
    key = (intent.key, number)
    rng = generator("row", *key)
    expanded, (act, template) = worlds.choose(intent, number)
    scope = bind(intent, expanded, rng)
    context = Context(key, intent, expanded, scope, words)
    try:
        # What is told around the request decides nothing, so that everything is judged by what is asked.
        asked, request = worded(act, template, scope, words, expanded.asides, rng)
        context.request = asked
        given = fill_given(intent.given, scope)
        vault = changed_vault(expanded.vault, given) if given else expanded.vault
        run = run_plan(vault, intent.plan, scope, context)
        answer = close_text(intent, run, scope, asked, words, rng)
    except Unseen as unseen:
        raise Reject("unseen", str(unseen)) from None
    except Gap as gap:
        raise Reject("gap", f"{gap} in {expanded.world}") from None
    check_run(intent, run, scope, context, asked)
    check_words(intent, asked, run, answer)
    row = example_row(request, run, answer, True)
    size = len(row["conversations"][0]["content"]) + len(row["conversations"][1]["content"])
    if size > limit:
        raise Reject("too-long", f"{size} characters")
    frame = digest(intent.key, template)
    return Candidate(
        digest("positive", dump_row(row)),
        intent,
        expanded,
        scope,
        act,
        frame,
        request,
        run,
        answer,
        intent.plan,
        context,
        number,
        given,
    )


def check_run(intent, run, scope, context, request):
    """Refuse a run that did not do what its intent declares."""
    for planned, step in zip(intent.plan, run.steps, strict=True):
        long_field = too_long(step.arguments["context"])
        if long_field:
            raise Reject("long-context", f"{long_field}: {step.arguments['context'][long_field]}")
        expected = planned.get("fails")
        if expected and (step.ok or str(expected) not in str(step.result.get("error"))):
            raise Reject("not-failed", f"{step.tool}: {step.result.get('error') or 'succeeded'}")
        if not expected and not step.ok:
            raise Reject("failed", f"{step.tool}: {step.result.get('error')}")
        if planned.get("empty") and hits(step.result) != 0:
            raise Reject("not-empty", f"{step.tool}: {hits(step.result)} hits")
    check_schema(run)
    if not goal_holds(run, intent.goal, scope):
        raise Reject("goal", str(intent.goal))
    if intent.kind not in ACTING and effect(run):
        raise Reject("changed", "an answer without action changed the vault")
    check_necessary(intent, run, scope, context, request)
    check_steady(run, run_plan(run.before, intent.plan, scope, context))


def check_schema(run):
    """Refuse a call against its schema."""
    findings = schema_findings(run)
    if findings:
        raise Reject("schema", f"{findings[0].code}: {findings[0].message}")


def check_steady(run, again):
    """Refuse a run that a second one does not repeat."""
    one, two = ([(step.arguments, step.result) for step in each.steps] for each in (run, again))
    if one != two:
        raise Reject("unsteady", "a second run gave other bytes")


def hits(result):
    """How many things a search or list found, None when it says nothing of the kind."""
    places = ("totalResults", "data.total", "data.totalCount", "data.summary.totalItems")
    return next((found for place in places if (found := look_up(result, place)) is not ABSENT), None)


def check_necessary(intent, run, scope, context, request):
    """Refuse a plan of which a call can be dropped: goal still true, every value still known."""
    wanted = effect(run)
    for dropped, planned in enumerate(intent.plan):
        if planned.get("fails") or planned.get("empty") or (intent.twin and dropped == 0):
            continue  # what it shows is why the next call is needed; of twins lib.synth.twins proves it
        try:
            shorter = run_plan(run.before, intent.plan[:dropped] + intent.plan[dropped + 1 :], scope, context)
        except Gap:
            continue
        if not goal_holds(shorter, intent.goal, scope) or effect(shorter) != wanted:
            continue
        if not invisible_values(request, shorter.steps):
            raise Reject("droppable", f"call {dropped + 1}, {planned['tool']}")


def from_common_knowledge(intent):
    """Whether an intent is answered from what everybody knows: its writer vouches for the answer, no result does."""
    return intent.kind == "direct" and not intent.plan


def check_words(intent, request, run, answer):
    """Refuse requests that leave the model guessing, and answers that claim what no result shows."""
    lost = invisible_values(request, run.steps)
    if lost:
        raise Reject("invisible", str(lost[0])[:80])
    claims = () if from_common_knowledge(intent) else unbacked_claims(answer, request, run)
    if claims:
        raise Reject("unbacked", str(claims[0])[:80])
