"""Negative rows: suspected mistakes run in the vault, kept only with a proof that they are wrong."""

import re
from collections import Counter
from dataclasses import dataclass, field

from lib.leak import kind_of_words
from lib.synth.faults import SUCCESS
from lib.synth.mutations import all_drafts
from lib.synth.phrasing import first_that_fills
from lib.synth.plans import Run, effect, goal_holds, run_calls, run_plan, schema_findings
from lib.synth.rows import example_row, from_common_knowledge
from lib.synth.seeds import digest, dump_row, generator
from lib.synth.templates import Gap, Unseen, sentence_case
from lib.synth.visible import Seen, unbacked_claims, unseen_names, untraceable
from lib.toolset import load_toolset

KIND_DUE = {"ask": "ask", "cannot": "refuse"}  # what an intent without calls wants to be answered
ADMITS = re.compile(
    r"\b(?:not|no|never|nothing|none|cannot|fail\w*|refus\w*|error|could|without|already|exists?|taken|in use|off|"
    r"disabled|stay\w*|left|alone|unchanged|missing|ends before)\b|n['’]t\b"
)  # words of an answer that may own up to a failure
HONEST_SHARE = 0.6  # of answers after an error, how many admit it
ASSURED_SHARE = 0.25  # of hand-written closes of mistakes, which are short, how many get a second sentence


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


def prove(candidate, run, answer, claims=""):
    """(code, detail) of what makes this run and answer wrong, or None when they are as good as the positive's.

    claims: a tool that the answer says was used, or SUCCESS where it is said to have worked.
    """
    findings = schema_findings(run)
    if findings:
        return "schema", findings[0].code
    reference = candidate.run
    if same_work(reference, run):
        return unsaid(candidate, run, answer)  # goals that look at the latest result would see a difference
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
    if claims == SUCCESS:
        if run.steps and not run.steps[-1].ok and not ADMITS.search(answer.lower()):
            return "claim", f"success, though {run.steps[-1].tool} failed"
    elif claims and claims not in [step.tool for step in run.steps]:
        return "claim", f"{claims} was not called"
    return unsaid(candidate, run, answer)


def same_work(reference, run):
    """Whether a run makes the calls of the reference in another order, with the same effect and findings."""
    tools = load_toolset().tools
    known = {step.key: step for step in reference.steps}
    if sorted(known) != sorted(step.key for step in run.steps) or [step.key for step in run.steps] == list(known):
        return False
    for step in run.steps:
        other = known[step.key]
        if step.ok != other.ok or (tools[step.tool].effect == "read" and told(step.result) != told(other.result)):
            return False
    return effect(reference) == effect(run)


def told(result):
    """A result without what the host puts into it."""
    return {key: value for key, value in result.items() if key not in ("sessionId", "workspaceId", "executionTime")}


def unsaid(candidate, run, answer):
    """(code, detail) of what an answer says or does that nothing shows or asks for, calls apart; or None."""
    lost = unbacked_claims(answer, candidate.request, run)
    lost += [name for name in unseen_names(answer, candidate.request, run) if name not in candidate.answer]
    if lost and not from_common_knowledge(candidate.intent):
        return "claim", str(lost[0])
    due, done = KIND_DUE.get(candidate.intent.kind, "direct"), kind_of_words(answer)
    if answer != candidate.answer and not candidate.intent.plan and due != done:
        return "kind", f"{done} instead of {due}"
    return None


def foreknows(request, run):
    """Whether a call after a failed one has a value that only that one would have shown."""
    if all(step.ok for step in run.steps[:-1]):
        return False
    seen = Seen(request)
    for step in run.steps:
        well_formed = not load_toolset().check(step.tool, step.arguments)
        if well_formed and untraceable(step.tool, step.arguments, seen):
            return True
        seen.add(step.result)
    return False


def run_draft(candidate, draft):
    """The run of a suspected mistake, results named as the plan names them."""
    if draft.plan is not None:
        scope = {**candidate.scope, "request": candidate.request}
        return run_plan(candidate.run.before, draft.plan, scope, candidate.context)
    run = run_calls(candidate.run.before, [(call.tool, call.arguments) for call in draft.calls])
    named = {call.name: step.result for call, step in zip(draft.calls, run.steps, strict=True) if call.name}
    return Run(run.before, run.after, run.steps, {**run.scope, **named})


def answer_for(candidate, draft, run, words, rng):
    """The last sentence of a negative: the draft's own, an admitted error, or what the positive would say."""
    if draft.answer is not None:
        return draft.answer
    scope = {**candidate.scope, **run.scope}
    if draft.closes:
        text = sentence_case(first_that_fills(draft.closes, scope, rng))
        assured = words.get("assured") if text.endswith((".", "!")) else ()
        return f"{text} {rng.choice(assured)}" if assured and rng.random() < ASSURED_SHARE else text
    if run.steps and not run.steps[-1].ok:
        admit = (words.get("failures") or {}).get("admit")
        if admit and rng.random() < HONEST_SHARE:
            error = str(run.steps[-1].result.get("error", "")).rstrip(".")
            return sentence_case(first_that_fills(admit, {**scope, "error": error}, rng))
    seen = Seen(candidate.request, run.steps)
    try:
        return sentence_case(first_that_fills(candidate.intent.closes, scope, rng, seen))
    except Unseen:
        return sentence_case(first_that_fills(candidate.intent.closes, scope, rng))


def misfit(candidate, draft, run, proof):
    """Why a draft is no negative of its reason, as a reject code; None when it is one."""
    if proof is None:
        return "equivalent"
    own = proof == ("schema", draft.reason) if draft.family == "schema" else proof[0] != "schema"
    if not own or (draft.reason == "claims-after-error" and all(step.ok for step in run.steps)):
        return "other-fault"
    if draft.family in ("schema", "honesty") and foreknows(candidate.request, run):
        return "foreknows"
    return None


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
        proof = prove(candidate, run, answer, draft.claims)
        fault = misfit(candidate, draft, run, proof)
        if fault:
            rejects[fault] += 1
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
