"""Anybody's calls against their schemas and the accepted values: what is wrong with one case, as findings.

Every call must fit the schema of its tool, whether it was wanted or not; a value that the case accepts to the letter is
right whatever the schema says of it (published answer files contradict their schemas in places).
"""

from dataclasses import replace
from functools import cache
from typing import Any

from evaluator.argument_cases import ArgumentCase, BadCase, BadJson, case_from_row, id_of, read_case_line, rule_for
from evaluator.arguments import (
    argument_faults,
    assign,
    assign_in_order,
    extra_findings,
    misplaced,
    place,
    tool_findings,
)
from evaluator.schemas import schema_findings
from evaluator.values import why_not
from lib.findings import Finding, did_you_mean
from lib.json_text import shown

MAX_COMPARED = 1_000_000  # expected calls times calls made
MAX_FINDINGS, MAX_MESSAGE = 100, 600
BROKEN = 500  # faults of a call whose arguments cannot be read


def check_line(line: bytes, mode: str) -> dict:
    """{"id", "valid", "findings"} for one line of input. Never raises, whatever the line holds."""
    try:
        return check_row(read_case_line(line), mode)
    except BadCase as error:
        return _verdict(None, [Finding("bad-case", str(error))])
    except BadJson as error:
        return _verdict(error.id, [Finding("bad-json", str(error))])


def check_row(row: Any, mode: str) -> dict:
    """{"id", "valid", "findings"} for one case; a row that is no case has the finding bad-case."""
    try:
        return _verdict(id_of(row), case_findings(case_from_row(row), mode))
    except BadCase as error:
        return _verdict(id_of(row), [Finding("bad-case", str(error))])
    except RecursionError:
        return _verdict(id_of(row), [Finding("bad-case", "nested too deep")])


def _verdict(case_id: Any, findings: list[Finding]) -> dict:
    shown_findings = [{"code": found.code, "message": _printable(found.message)} for found in findings[:MAX_FINDINGS]]
    return {"id": case_id, "valid": not findings, "findings": shown_findings}


def _printable(text: str) -> str:
    text = text if text.isprintable() else ascii(text)[1:-1]
    return text if len(text) <= MAX_MESSAGE else f"{text[:MAX_MESSAGE]}..."


def case_findings(case: ArgumentCase, mode: str) -> list[Finding]:
    """Everything wrong with the calls of a case; none means they are what was wanted."""
    called = [call.name for call in case.calls]
    wanted = [name for name, _ in case.expected]
    if len(called) * len(wanted) > MAX_COMPARED:
        return [Finding("too-many-calls", f"{len(called)} calls, {len(wanted)} were wanted")]
    accepted = [values for _, values in case.expected]
    rules = [{(key,): rule_for(rule, mode) for key, rule in values.items()} for values in accepted]

    @cache
    def faults(i: int, j: int) -> tuple[tuple[str, str, str], ...] | None:
        """What is wrong with call j as expected call i; None when it names another tool."""
        if called[j] != wanted[i]:
            return None
        arguments = case.calls[j].arguments
        return () if arguments is None else tuple(argument_faults(rules[i], arguments, {}))

    def cost(i: int, j: int) -> int | None:
        found = faults(i, j)
        return found if found is None else BROKEN if case.calls[j].arguments is None else len(found)

    pairs = _pairs(case, cost)
    findings = tool_findings(wanted, called, pairs)
    extra = extra_findings(called, pairs, case.effects, case.extra)
    findings += extra if wanted else [replace(found, code="unexpected-call") for found in extra]
    for first, then in misplaced(pairs, list(case.order)):
        findings.append(Finding("wrong-order", f"{wanted[first]} must come before {wanted[then]}"))
    served = {index: i for i, index in enumerate(pairs) if index is not None}
    for index in range(len(called)):
        findings += _call_findings(case, index, accepted[served[index]] if index in served else {})
        if index in served:
            for code, name, why in faults(served[index], index):
                findings.append(Finding(code, f"{place(index)}.{name}: {why}"))
    return findings


def _pairs(case: ArgumentCase, cost) -> list[int | None]:
    expected, calls, order = len(case.expected), len(case.calls), list(case.order)
    pairs = assign(expected, calls, cost)
    if misplaced(pairs, order):
        fits = [[j for j in range(calls) if cost(i, j) == 0] for i in range(expected)]
        pairs = assign_in_order(fits, order) or pairs
    return pairs


def _call_findings(case: ArgumentCase, index: int, accepted: dict) -> list[Finding]:
    """What is wrong with one call on its own, beside values that are accepted to the letter."""
    call, where = case.calls[index], place(index)
    if call.problem or call.arguments is None:
        return [Finding("bad-json", f"{where}: {call.problem}")]
    if call.name not in case.schemas:
        hint = did_you_mean(call.name, case.schemas)
        return [Finding("unknown-tool", f"{where}: there is no tool {shown(call.name)}.{hint}")]
    findings = []
    for found, about in schema_findings(case.schemas[call.name], call.arguments):
        if about is None or about not in accepted or not _to_the_letter(accepted[about], call.arguments[about]):
            findings.append(Finding(found.code, f"{where}: {found.message}"))
    return findings


def _to_the_letter(accepted: Any, value: Any) -> bool:
    return isinstance(accepted, list) and not why_not(rule_for(accepted, "exact", to_the_letter=True), value, {})
