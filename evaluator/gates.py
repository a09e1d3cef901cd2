"""What an evaluation must come to: its limits, which of them it misses, and when no further answer can change that."""

from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from evaluator.comparison import compare, faults
from evaluator.statistics import IN_RATE, by_case, passes

CLOSE = 1e-9  # of two rates that are the same


@dataclass(frozen=True)
class Gates:
    """The limits of one run; None: no such limit.

    against: an earlier result that this one must not be worse than; stop_early: ask no further once it is settled.
    """

    min_pass: float | None = None
    max_infra: float = 0.1
    against: dict | None = None
    max_drop: float | None = None
    max_regressions: int | None = None
    stop_early: bool = False

    def compared(self, result: dict) -> dict | None:
        """The comparison with the earlier result; None without one. CannotRun when they have no case in common."""
        return compare(self.against, result) if self.against else None

    def missed(self, result: dict, compared: dict | None) -> list[str]:
        """What the result misses, a sentence each."""
        summary, said = result["summary"], []
        lost, unanswered = summary["outcomes"]["server_lost"], summary["outcomes"]["infra"]
        if lost + unanswered > self.max_infra * summary["attempts"]:
            said.append(
                f"of {summary['attempts']} attempts the server lost {lost} and left {unanswered} without an answer, "
                f"more than --max-infra {self.max_infra:g}: this measures the server, not the model. "
                f"{main_fault(result)}"
            )
        if self.min_pass is not None and (summary["pass"]["rate"] or 0.0) < self.min_pass:
            counts = f"{summary['pass']['passed']} of {summary['pass']['of']} passed"
            said.append(f"{counts}, less than --min-pass {self.min_pass:g}.")
        worse = faults(compared, self.max_drop, self.max_regressions) if compared else []
        return said + [f"{fault}." for fault in worse]

    def settled(self, records: Collection[dict], cases: Collection[str], repeats: int) -> str:
        """Why the verdict on `repeats` attempts at all cases (ids) is known from these, "" while it is not.

        For certain, not for likely: a limit is missed when right answers to all the rest would not keep it, and kept
        when wrong answers, or none, to all the rest would not miss it.
        """
        total = len(cases) * repeats
        still = total - len(records)
        if not self.stop_early or not still:
            return ""
        counts = Counter(record["outcome"] for record in records)
        unclean, counted = counts["server_lost"] + counts["infra"], counts["pass"] + counts["model_fail"]
        after = f"settled after {len(records)} of {total} attempts: "
        if unclean > self.max_infra * total:
            return f"{after}--max-infra {self.max_infra:g} is missed"
        if self.min_pass is not None and counts["pass"] + still < self.min_pass * (counted + still) - CLOSE:
            return f"{after}--min-pass {self.min_pass:g} can no longer be reached"
        if self.against and (why := self._worse(records, cases, repeats)):
            return after + why
        kept = self.min_pass is not None and counts["pass"] >= self.min_pass * (counted + still)
        if kept and not self.against and unclean + still <= self.max_infra * total:
            return f"{after}--min-pass {self.min_pass:g} is reached"
        return ""

    def _worse(self, records: Collection[dict], cases: Collection[str], repeats: int) -> str:
        """Which limit against the earlier result is missed whatever else is answered, "" when none is."""
        before, now = shares(self.against["records"]), shares(records)
        asked = Counter(record["id"] for record in records)
        common = [case for case in cases if case in before]
        changes = [now[case] - before[case] for case in common if asked[case] == repeats and case in now]
        regressions = sum(change < -CLOSE for change in changes)
        if self.max_regressions is not None and regressions > self.max_regressions:
            return f"{regressions} cases regress, more than --max-regressions {self.max_regressions}"
        open_cases = [case for case in common if asked[case] < repeats]
        # Each further case that both answer thins a loss out, and can at best pass every time.
        best = sum(changes) + sum(1 - before[case] for case in open_cases)
        if self.max_drop is not None and -best > (self.max_drop + CLOSE) * max(1, len(changes) + len(open_cases)):
            return f"the pass rate drops by more than --max-drop {self.max_drop:g}"
        return ""


def shares(records: Iterable[dict]) -> dict[str, float]:
    """Case id -> the share of its clean attempts (pass or model_fail) that pass; cases without one are left out."""
    clean = [record for record in records if record["outcome"] in IN_RATE]
    return {case: passed / of for case, (passed, of) in by_case(clean, passes).items()}


def main_fault(result: dict) -> str:
    """What most of the unanswered attempts died of, with the way out that its message names."""
    faults_found = [record["findings"][0] for record in result["records"] if record["outcome"] == "infra"]
    if not faults_found:
        return "The calls that it left in the text are in report.md; try --format text."
    codes = Counter(fault["code"] for fault in faults_found)
    code, count = codes.most_common(1)[0]
    message = next(fault["message"] for fault in faults_found if fault["code"] == code)
    return f"Most often ({count}): {code}: {message}"
