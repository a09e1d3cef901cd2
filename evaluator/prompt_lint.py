"""Prompt sets tested by mutation: right answers to every case must pass, and wrong ones must fail.

A wrong answer that changes nothing that counts is no wrong answer (a read done twice, a broader search that shows the
same). The simulator tells: the vault ends the same, and all that the right answer's calls showed, or what the case
needs of it, was shown as well. Such answers are counted apart and never for kinds that do or say something else.
"""

import json
import re
from dataclasses import dataclass, field
from typing import Any

from evaluator.cases import Case
from evaluator.checkers import MadeCall
from evaluator.goals import ids_of
from evaluator.mutants import HARMLESS, Answer, judge_answer, mutants, played, reference, right_answers
from evaluator.reply_goals import lacking, results_text
from lib.toolset import Toolset
from lib.vault.compare import digest

ENOUGH = 0.99
# Times and fresh ids move with every call, also with a harmless one.
_MOVING = re.compile(r"[a-z]+_\d{13}_[a-z0-9]{9}|\d{13}|\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d)?(?:\.\d+)?Z?")
_NAMES = re.compile(r"[a-z]+_\d{13}_[a-z0-9]{9}|[^\s/][^\n/]*(?:/[^\n/]+)*\.md")


@dataclass
class Tally:
    """Mutants of one operator: killed of planted, and those that turned out to change nothing (not in planted)."""

    killed: int = 0
    planted: int = 0
    equivalent: int = 0


@dataclass
class SetReport:
    """What a prompt set is worth.

    survivors: (case, operator, the calls) of wrong answers that passed; vacuous: (case, operator) of answers that do
    nothing and passed; refused: (case, answer, finding) of right answers that failed; crashes: (case, error).
    """

    name: str
    cases: int = 0
    right: int = 0
    cells: dict[str, Tally] = field(default_factory=dict)
    survivors: list[tuple[str, str, str]] = field(default_factory=list)
    vacuous: list[tuple[str, str]] = field(default_factory=list)
    refused: list[tuple[str, str, str]] = field(default_factory=list)
    crashes: list[tuple[str, str]] = field(default_factory=list)

    @property
    def killed(self) -> int:
        return sum(tally.killed for tally in self.cells.values())

    @property
    def planted(self) -> int:
        return sum(tally.planted for tally in self.cells.values())

    @property
    def score(self) -> float:
        """The share of the wrong answers that fail; 0 when there are none."""
        return self.killed / self.planted if self.planted else 0.0

    @property
    def good(self) -> bool:
        return self.score >= ENOUGH and not (self.vacuous or self.refused or self.crashes)


def lint(name: str, cases: list[Case], toolset: Toolset) -> SetReport:
    """Every case of a set with all its right and wrong answers judged."""
    report = SetReport(name, len(cases))
    for case in cases:
        try:
            _lint_case(report, case, toolset)
        except Exception as error:  # a checker that falls over is what this looks for
            report.crashes.append((case.id, f"{type(error).__name__}: {error}"))
    return report


def _lint_case(report: SetReport, case: Case, toolset: Toolset) -> None:
    if case.tools and not case.gold:
        report.refused.append((case.id, "reference", "there is no gold plan to make answers from"))
        return
    for answer in right_answers(case, toolset):
        report.right += 1
        if findings := judge_answer(case, answer, toolset).findings:
            report.refused.append((case.id, answer.kind, f"{findings[0].code}: {findings[0].message}"))
    right = reference(case, toolset)
    shown = played(case, right)
    before = report.killed
    for answer in mutants(case, toolset):
        tally = report.cells.setdefault(answer.kind, Tally())
        passed = judge_answer(case, answer, toolset).passed
        if passed and answer.kind in HARMLESS and changes_nothing(case, shown, played(case, answer)):
            tally.equivalent += 1
            continue
        tally.planted += 1
        tally.killed += not passed
        if passed:
            report.survivors.append((case.id, answer.kind, brief(answer)))
        if passed and not answer.calls:
            report.vacuous.append((case.id, answer.kind))
    if report.killed == before:
        report.vacuous.append((case.id, "every answer"))


def brief(answer: Answer) -> str:
    """The calls of an answer on one line, without contexts."""
    calls = [
        f"{name}({json.dumps({key: arguments[key] for key in arguments if key != 'context'}, ensure_ascii=False)})"
        for name, arguments in answer.calls
    ]
    return "; ".join(calls) or answer.reply


Run = tuple[list[MadeCall], Any]


def changes_nothing(case: Case, right: Run, other: Run) -> bool:
    """Whether the other run leaves the vault as the right one does and shows all that counts of what that one shows."""
    if digest(right[1], volatile=False) != digest(other[1], volatile=False):
        return False
    known = ids_of(case.fresh_vault())
    wanted, given = ([_still(call.result, known) for call in run[0] if _went_well(call)] for run in (right, other))
    missing = [text for text in wanted if text not in given]
    if not missing or not (case.by_state or "found" in case.goal):
        return not missing
    told = results_text([call.result for call in other[0] if _went_well(call)])
    words = [*case.goal.get("found", []), *case.goal.get("answers", [])]
    return not (lacking(told, words) or used_unseen(other[0], names_looked_up(case, right[0])))


def names_looked_up(case: Case, calls: list[MadeCall]) -> set[str]:
    """The ids and note paths that calls take from the results of earlier ones."""
    told, found = "", set()
    for call in calls:
        found |= {name for name in _names(call) if name in told and name not in case.question}
        told += results_text([call.result])
    return found


def used_unseen(calls: list[MadeCall], names: set[str]) -> bool:
    """Whether a call uses one of the names before a result shows it."""
    told = ""
    for call in calls:
        if any(name not in told for name in _names(call) & names):
            return True
        told += results_text([call.result])
    return False


def _names(call: MadeCall) -> set[str]:
    """The ids and note paths among a call's arguments."""
    own = json.dumps({key: value for key, value in (call.arguments or {}).items() if key != "context"})
    return {text for text in re.findall(r'"((?:[^"\\]|\\.)*)"', own) if _NAMES.fullmatch(text)}


def _went_well(call: MadeCall) -> bool:
    return call.result.get("success") is True


def _still(result: dict, known: set[str]) -> str:
    """A result without what moves."""
    return _MOVING.sub(lambda found: found[0] if found[0] in known else "-", json.dumps(result, sort_keys=True))
