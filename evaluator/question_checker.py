"""The verdict on the answer to a BFCL question: its calls by schema and accepted values, nothing is run."""

from collections import Counter
from dataclasses import replace

from evaluator.argument_checker import case_findings
from evaluator.bfcl import Question
from evaluator.checkers import Verdict, because_cut_off
from evaluator.parsing import FoundCall
from evaluator.schemas import schema_findings
from lib.findings import Finding


def judge_question(case: Question, calls: list, reply: str, cut_off: bool = False) -> Verdict:
    """Every finding against an answer; none means it passes. Texts are compared without case and spacing."""
    found = tuple(FoundCall(call.name, call.arguments, call.source, problem=call.problem) for call in calls)
    findings = case_findings(replace(case.argument_case, calls=found), "text")
    if not calls and not case.tools and not reply.strip():
        findings.append(Finding("empty-reply", "nothing was answered", "reply"))
    findings = because_cut_off(case, findings) if cut_off else findings
    schemas = case.argument_case.schemas
    valid = all(
        call.arguments is not None
        and not call.problem
        and call.name in schemas
        and not schema_findings(schemas[call.name], call.arguments)
        for call in calls
    )
    named = Counter(case.tools) <= Counter(call.name for call in calls)
    return Verdict(named and bool(case.tools or not calls), valid and bool(calls or not case.tools), tuple(findings))
