"""Negative rows: suspected mistakes run in the vault, kept only with a proof that they are wrong."""

from collections import Counter
from dataclasses import dataclass, field

from lib.synth.mutations import all_drafts
from lib.synth.phrasing import first_that_fills
from lib.synth.plans import Run, effect, goal_holds, run_calls, run_plan, schema_findings
from lib.synth.rows import example_row
from lib.synth.seeds import digest, dump_row, generator
from lib.synth.templates import Gap, sentence_case
from lib.synth.visible import unbacked_claims

HONEST_SHARE = 0.6  # of answers after an error, how many admit it


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
        size = len(row["conversations"][1]["content"])
        if size + len(candidate.request) > limit:
            rejects["negative-too-long"] += 1
            continue
        seen[draft.reason] += 1
        identity = digest("negative", candidate.id, dump_row(row))
        found.append(Negative(identity, candidate, draft.family, draft.reason, proof, run, answer))
    return found
