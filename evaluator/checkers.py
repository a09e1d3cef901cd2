"""The verdict on one answer: pure functions of the case, the calls made, their results and the vault they left."""

from collections import Counter
from dataclasses import dataclass, field

from evaluator.arguments import argument_faults, extra_findings, place, tool_findings
from evaluator.cases import Case, filled
from evaluator.goals import goal_findings, state_findings
from evaluator.parsing import spoken
from evaluator.state_checker import end_findings, unseen_ids
from lib.toolset import Finding, Tool, Toolset
from lib.vault import Vault

# Beside the expected ones a call may carry these: they say where the call belongs, not what it does.
UNJUDGED = frozenset({"context", "workspaceContext"})


@dataclass(frozen=True)
class MadeCall:
    """A call of the model and what running it gave. arguments: None when they were no JSON object."""

    name: str
    arguments: dict | None
    result: dict = field(default_factory=dict)
    source: str = "tool_calls"
    problem: str = ""


@dataclass(frozen=True)
class Verdict:
    """right_tool: all expected tools called, in order; valid_call: every call fits schema and context rules."""

    right_tool: bool
    valid_call: bool
    findings: tuple[Finding, ...]

    @property
    def passed(self) -> bool:
        return not self.findings


def judge(
    case: Case, calls: list[MadeCall], reply: str, end: Vault, toolset: Toolset, cut_off: bool = False
) -> Verdict:
    """Every finding against an answer; none means it passes."""
    if case.by_state:
        return _by_state(case, calls, reply, end, toolset, cut_off)
    validity = [finding for index, call in enumerate(calls) for finding in call_findings(index, call, toolset)]
    pairs = pair(case, calls, toolset)
    right_tool = None not in pairs and (bool(case.tools) or not calls)
    findings = [*validity]
    if case.tools:
        called = [call.name for call in calls]
        findings += tool_findings(list(case.tools), called, pairs)
        # Reading more than needed is free.
        effects = {name: tool.effect for name, tool in toolset.tools.items()}
        findings += extra_findings(called, pairs, effects, "read_only_ok")
    else:
        findings += silence_findings(calls, reply)
    findings += argument_findings(case, calls, pairs, toolset)
    made = [calls[index].arguments for index in pairs] if None not in pairs else None
    if made is not None and None not in made:
        findings += state_findings(case, made, end, toolset)
    findings += goal_findings(case, calls, end, reply, toolset)
    findings = because_cut_off(case, findings) if cut_off else findings
    return Verdict(right_tool, not validity and (bool(calls) or not case.tools), tuple(findings))


def because_cut_off(case: Case, findings: list[Finding]) -> list[Finding]:
    """The findings of a reply that did not come to its end, with that first where it may be why.

    Chatter after the work is done costs nobody anything.
    """
    why = [Finding("cut-off", "the reply was longer than --max-tokens", "reply")]
    return why + findings if findings or not case.tools else findings


def _by_state(
    case: Case, calls: list[MadeCall], reply: str, end: Vault, toolset: Toolset, cut_off: bool = False
) -> Verdict:
    """The verdict where the end state counts: a call that failed may be repaired, and any way to the goal will do."""
    findings = end_findings(case, calls, end, toolset)
    if findings and calls and calls[-1].result.get("success") is not True:
        findings.append(failed_call(len(calls) - 1, calls[-1]))  # why the end is not as it should be
    findings += goal_findings(case, calls, end, reply, toolset) + unseen_ids(case, calls, toolset)
    if not calls and not spoken(reply).strip():
        findings.append(Finding("empty-reply", "nothing was answered", "reply"))
    findings = because_cut_off(case, findings) if cut_off else findings
    called = Counter(call.name for call in calls)
    named = any(Counter(call["name"] for call in plan) <= called for plan in case.plans)
    valid = not any(call_findings(index, call, toolset) for index, call in enumerate(calls))
    return Verdict(named, valid and bool(calls or not case.tools), tuple(findings))


def silence_findings(calls: list[MadeCall], reply: str) -> list[Finding]:
    """What is wrong with an answer that should be words alone."""
    if not calls and not spoken(reply).strip():
        return [Finding("empty-reply", "nothing was answered", "reply")]
    message = "was called, no call was wanted"
    return [Finding("unexpected-call", f"{call.name} {message}", place(index)) for index, call in enumerate(calls)]


def call_findings(index: int, call: MadeCall, toolset: Toolset) -> list[Finding]:
    """What is wrong with a call on its own: not JSON, unknown tool, schema, context."""
    if call.problem or call.arguments is None:
        return [Finding("bad-json", call.problem or "the arguments are no JSON object", place(index))]
    return [
        Finding(found.code, found.message, f"{place(index)}.{found.path}", found.severity)
        for found in toolset.check(call.name, call.arguments)
        if found.severity == "error"
    ]


def pair(case: Case, calls: list[MadeCall], toolset: Toolset) -> list[int | None]:
    """For each expected tool the index of the call that serves it, in order; the pairing with most right arguments."""
    # best[j]: the most points for the tools so far with calls before j, and the pairing that earns them.
    best: list[tuple[int, tuple]] = [(0, ())] * (len(calls) + 1)
    for position, name in enumerate(case.tools):
        row: list[tuple[int, tuple]] = [(best[0][0], (*best[0][1], None))]
        for index, call in enumerate(calls):
            skip_tool = (best[index + 1][0], (*best[index + 1][1], None))
            options = [row[index], skip_tool]
            if call.name == name:
                points, pairing = best[index]
                earlier = [calls[at].result if at is not None else None for at in pairing]
                fits = not _wrong_arguments(case, position, call, earlier, toolset.tools.get(name))
                options.append((points + 1000 + fits, (*pairing, index)))
            row.append(max(options, key=lambda option: option[0]))
        best = row
    return list(best[-1][1]) if case.tools else []


def argument_findings(case: Case, calls: list[MadeCall], pairs: list[int | None], toolset: Toolset) -> list[Finding]:
    """Arguments that the case does not accept, and expected calls that failed when they were run."""
    findings, earlier = [], []
    for position, index in enumerate(pairs):
        call = calls[index] if index is not None else None
        if call is not None:
            for code, name, why in _wrong_arguments(case, position, call, earlier, toolset.tools.get(call.name)):
                findings.append(Finding(code, f"{name}: {why}", f"{place(index)}.arguments.{name}"))
            if call.result and call.result.get("success") is not True and not toolset.check(call.name, call.arguments):
                findings.append(failed_call(index, call))
        earlier.append(call.result if call is not None else None)
    return findings


def failed_call(index: int, call: MadeCall) -> Finding:
    """What the simulator said to a call."""
    return Finding("call-failed", f"{call.name}: {str(call.result.get('error', 'no error text'))[:200]}", place(index))


def _wrong_arguments(
    case: Case, position: int, call: MadeCall, earlier: list[dict | None], tool: Tool | None
) -> list[tuple[str, str, str]]:
    """(code, parameter, why) for each argument that is missing, wrong or was not asked for."""
    if call.arguments is None or not (case.gold or case.arguments):
        return []
    rules = filled(case.accepted(position), earlier)
    properties = tool.parameters.get("properties", {}) if tool else {}
    accepted = {tuple(key.split("|")): rule for key, rule in rules.items()}
    ruled = {name for names in accepted for name in names}
    # A name outside the schema is a finding of its own already.
    judged = {
        name: value
        for name, value in call.arguments.items()
        if name in ruled or (name in properties and name not in UNJUDGED)
    }
    return argument_faults(accepted, judged, properties)
