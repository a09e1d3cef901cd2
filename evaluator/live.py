"""The bar of a running evaluation: attempts done, the pass rate so far with its interval, and the time left."""

from evaluator.statistics import IN_RATE, wilson
from lib.cli import progress


class Live:
    """Called with each record; `close` at the end. Draws nothing when stderr is no terminal."""

    def __init__(self, unit: str):
        self.bar = progress(desc="Asking", unit=unit)
        self.outcomes: dict[str, int] = {}
        self.cases: set[str] = set()

    def __call__(self, record: dict, total: int, earlier: bool = False) -> None:
        """earlier: the record is of a run before this one, so that it counts but says nothing about speed."""
        if self.bar.disable:
            return
        outcome = record["outcome"]
        self.outcomes[outcome] = self.outcomes.get(outcome, 0) + 1
        if outcome in IN_RATE:
            self.cases.add(record["id"])
        self.bar.total = total
        self.bar.set_postfix_str(self.words(), refresh=False)
        if earlier:
            self.bar.n += 1
            self.bar.initial += 1
        else:
            self.bar.update()

    def words(self) -> str:
        """ "63 % pass (41–81 %), 2 lost, 1 no answer"; for the interval, the attempts at a case count as one."""
        passed = self.outcomes.get("pass", 0)
        counted = passed + self.outcomes.get("model_fail", 0)
        said = []
        if counted:
            low, high = wilson(passed / counted * len(self.cases), len(self.cases))
            said.append(f"{100 * passed / counted:.0f} % pass ({100 * low:.0f}–{100 * high:.0f} %)")
        words = {"server_lost": "lost", "infra": "no answer"}
        said += [f"{self.outcomes[name]} {word}" for name, word in words.items() if name in self.outcomes]
        return ", ".join(said)

    def close(self) -> None:
        self.bar.close()
