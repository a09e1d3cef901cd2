"""Negative rows: suspected mistakes run in the vault, kept only with a proof that they are wrong."""

from collections import Counter, defaultdict
from dataclasses import dataclass, field

from lib.synth.mutations import all_drafts
from lib.synth.phrasing import first_that_fills
from lib.synth.plans import Run, effect, goal_holds, run_calls, run_plan, schema_findings
from lib.synth.rows import ACTING, example_row
from lib.synth.seeds import digest, dump_row, generator
from lib.synth.templates import Gap, sentence_case
from lib.synth.visible import unbacked_claims

HONEST_SHARE = 0.6  # of answers after an error, how many admit it
CLOSELY_USED = 2  # negatives made from one positive
ANSWERS = ("ask", "refuse", "direct")  # kinds of answer without a call


@dataclass(frozen=True)
class Negative:
    """A row that the simulator proved wrong, with what proved it."""

    id: str
    source: object  # the positive it was made from
    family: str
    reason: str
    proof: tuple  # (code, detail)
    run: Run = field(repr=False)
    answer: str
    size_gap: int  # characters more or fewer than the positive's row

    @property
    def request(self):
        return self.source.request

    @property
    def answer_kind(self):
        return answer_kind(self.run, self.reason)


def answer_kind(run, reason):
    """call, ask, refuse or direct: what a reader would say this answer does."""
    if run.steps:
        return "call"
    return {"needless-question": "ask", "needless-refusal": "refuse"}.get(reason, "direct")


def prove(candidate, run, answer):
    """(code, detail) of what makes this run and answer wrong, or None when they are as good as the positive's."""
    findings = schema_findings(run)
    if findings:
        return "schema", findings[0].code
    reference = candidate.run
    holds = goal_holds(run, candidate.intent.goal, candidate.scope)
    failed = [step for step in run.steps if not step.ok]
    if not holds:
        if failed:
            return "error", str(failed[0].result.get("error"))[:160]
        return "goal", "not reached" if run.steps else "not reached: no call was made"
    wanted, found = effect(reference), effect(run)
    if wanted != found:
        differing = {key for key in {**wanted, **found} if key not in wanted or key not in found}
        differing |= {key for key in wanted if key in found and wanted[key] != found[key]}
        return "effect", min(differing)
    if len(run.steps) > len(reference.steps):
        return "needless", run.steps[-1].tool
    claims = unbacked_claims(answer, candidate.request, run)
    if claims:
        return "claim", str(claims[0])
    return None


def run_draft(candidate, draft):
    """The run of a suspected mistake, results named as the plan names them."""
    if draft.plan is not None:
        return run_plan(candidate.run.before, draft.plan, candidate.scope, candidate.context)
    run = run_calls(candidate.run.before, [(call.tool, call.arguments) for call in draft.calls])
    named = {call.name: step.result for call, step in zip(draft.calls, run.steps, strict=True) if call.name}
    return Run(run.before, run.after, run.steps, {**run.scope, **named})


def answer_for(candidate, draft, run, words, rng):
    """The last sentence of a negative: the draft's own, an admitted error, or what the positive would say."""
    if draft.answer is not None:
        return draft.answer
    scope = {**candidate.scope, **run.scope}
    if draft.closes:
        return sentence_case(first_that_fills(draft.closes, scope, rng))
    if run.steps and not run.steps[-1].ok:
        admit = (words.get("failures") or {}).get("admit")
        if admit and rng.random() < HONEST_SHARE:
            error = str(run.steps[-1].result.get("error", "")).rstrip(".")
            return sentence_case(first_that_fills(admit, {**scope, "error": error}, rng))
    return sentence_case(first_that_fills(candidate.intent.closes, scope, rng))


def proven_negatives(candidate, words, limit, rejects):
    """Every proven negative of one positive, at most one for each reason and answer."""
    rng = generator("negatives", candidate.id)
    own_size = len(example_row(candidate.request, candidate.run, candidate.answer, True)["conversations"][1]["content"])
    seen = Counter()
    found = []
    for draft in all_drafts(candidate, words, rng):
        if seen[draft.reason] >= 2:
            continue
        try:
            run = run_draft(candidate, draft)
            answer = answer_for(candidate, draft, run, words, rng)
        except Gap:
            rejects["negative-gap"] += 1
            continue
        proof = prove(candidate, run, answer)
        if proof is None:
            rejects["equivalent"] += 1
            continue
        if draft.family == "schema" and proof != ("schema", draft.reason):
            rejects["other-fault"] += 1
            continue
        if draft.family != "schema" and proof[0] == "schema":
            rejects["other-fault"] += 1
            continue
        row = example_row(candidate.request, run, answer, False)
        size = len(row["conversations"][1]["content"])
        if size + len(candidate.request) > limit:
            rejects["negative-too-long"] += 1
            continue
        seen[draft.reason] += 1
        identity = digest("negative", candidate.id, dump_row(row))
        gap = abs(size - own_size)
        found.append(Negative(identity, candidate, draft.family, draft.reason, proof, run, answer, gap))
    return found


def bucket(negative):
    """What a negative is counted under: its kind of answer when it calls nothing, else its family."""
    return negative.family if negative.answer_kind == "call" else negative.answer_kind


class Choice:
    """Negatives taken so far, and which one of a group should come next."""

    def __init__(self, pools, targets):
        self.targets = targets  # bucket -> wanted
        self.taken, self.reasons, self.sources = Counter(), Counter(), Counter()
        self.stock = defaultdict(lambda: defaultdict(lambda: defaultdict(list)))  # group, bucket, reason
        for pool in pools.values():
            for negative in pool:
                self.stock[negative.source.group][bucket(negative)][negative.reason].append(negative)
        for buckets in self.stock.values():
            for reasons in buckets.values():
                for items in reasons.values():
                    items.sort(key=preference)

    def shortfall(self, name):
        return (self.targets.get(name, 0) - self.taken[name]) / max(1, self.targets.get(name, 0))

    def next_of(self, group):
        """The negative of a group whose bucket is furthest behind, then whose reason and source were used least."""
        buckets = self.stock[group]
        for name in sorted(buckets, key=lambda name: (-self.shortfall(name), name)):
            if name in ANSWERS and self.shortfall(name) <= 0:
                continue
            for reason in sorted(buckets[name], key=lambda reason: (self.reasons[name, reason], reason)):
                items = [item for item in buckets[name][reason] if self.sources[item.source.id] < CLOSELY_USED]
                if items:
                    return self.take(name, min(items, key=lambda item: self.sources[item.source.id]))
        return None

    def take(self, name, negative):
        self.stock[negative.source.group][name][negative.reason].remove(negative)
        self.taken[name] += 1
        self.reasons[name, negative.reason] += 1
        self.sources[negative.source.id] += 1
        return negative


def preference(negative):
    """Mistakes that run before those an error gives away, rows as long as the positive before others."""
    return negative.proof[0] == "error", negative.size_gap // 50, negative.id


def choose_negatives(pools, wanted, shares, answers):
    """Proven negatives: as many from each group as wanted, families by share, reasons and sources in turn.

    pools: source id -> its negatives.  wanted: group -> count.  answers: kind of answer without a call -> count.
    """
    calls = sum(wanted.values()) - sum(answers.values())
    total = sum(shares.values())
    choice = Choice(pools, {**{family: calls * share / total for family, share in shares.items()}, **answers})
    left = dict(wanted)
    chosen = []
    while any(left.values()):
        for group in sorted(left):
            if left[group]:
                negative = choice.next_of(group)
                left[group] = left[group] - 1 if negative else 0
                chosen += [negative] if negative else []
    return chosen


def positive_kind(candidate):
    """call, ask, refuse or direct for a positive."""
    if candidate.run.steps or candidate.intent.kind in ACTING:
        return "call"
    return {"ask": "ask", "cannot": "refuse"}.get(candidate.intent.kind, "direct")
