"""Negative rows: suspected mistakes run in the vault, kept only with a proof that they are wrong."""

from collections import Counter, defaultdict
from dataclasses import dataclass, field

from lib.jsonl import dump_row
from lib.synth.mutations import all_drafts
from lib.synth.phrasing import first_that_fills
from lib.synth.plans import Run, effect, goal_holds, run_calls, run_plan, schema_findings
from lib.synth.rows import ACTING, example_row
from lib.synth.seeds import digest, generator
from lib.synth.templates import Gap, sentence_case
from lib.synth.visible import unbacked_claims

HONEST_SHARE = 0.6  # of answers after an error, how many admit it
CLOSELY_USED = 2  # negatives made from one positive


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
        if sum(len(turn["content"]) for turn in row["conversations"]) > limit:
            rejects["negative-too-long"] += 1
            continue
        seen[draft.reason] += 1
        identity = digest("negative", candidate.id, dump_row(row))
        found.append(Negative(identity, candidate, draft.family, draft.reason, proof, run, answer))
    return found


def choose_negatives(pools, count, shares, kinds):
    """`count` negatives: families by share, reasons within them in turn, sources used evenly.

    pools: source id -> its proven negatives.  kinds: how many answers of each kind without a call are wanted.
    """
    used = Counter()
    chosen = []
    by_reason = defaultdict(list)
    for pool in pools.values():
        for negative in pool:
            by_reason[negative.answer_kind, negative.family, negative.reason].append(negative)
    for items in by_reason.values():
        # Taken from the end: mistakes that run come before those whose error message gives them away.
        items.sort(key=lambda item: (item.proof[0] != "error", item.id))

    def take(wanted, keys):
        """Draw from the reasons in turn, least used sources first, until enough or nothing is left."""
        taken = 0
        keys = sorted(keys)
        for allowed in range(1, CLOSELY_USED + 1):
            progress = True
            while taken < wanted and progress:
                progress = False
                for key in keys:
                    number = next(
                        (
                            n
                            for n in range(len(by_reason[key]) - 1, -1, -1)
                            if used[by_reason[key][n].source.id] < allowed
                        ),
                        None,
                    )
                    if number is None or taken >= wanted:
                        continue
                    negative = by_reason[key].pop(number)
                    used[negative.source.id] += 1
                    chosen.append(negative)
                    taken += 1
                    progress = True
        return taken

    for kind, wanted in sorted(kinds.items()):
        take(wanted, [key for key in by_reason if key[0] == kind])
    calls = count - len(chosen)
    total = sum(shares.values())
    for family, share in sorted(shares.items(), key=lambda item: item[1]):
        take(round(calls * share / total), [key for key in by_reason if key[0] == "call" and key[1] == family])
    take(count - len(chosen), [key for key in by_reason if key[0] == "call"])
    return chosen[:count]


def positive_kind(candidate):
    """call, ask, refuse or direct for a positive."""
    if candidate.run.steps or candidate.intent.kind in ACTING:
        return "call"
    return {"ask": "ask", "cannot": "refuse"}.get(candidate.intent.kind, "direct")
