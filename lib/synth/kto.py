"""The KTO set: positives by shares of their own, and proven negatives that look like them from outside."""

from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict

import numpy as np

from lib.synth.sketches import ANSWERS, RATIOS

DECISIONS = ("ask", "cannot", "direct")
CLOSELY_USED = 2  # negatives made from one positive
REUSE = 12  # what a second negative of one positive costs, in marks
PARTS = 8  # equal parts into which the positives cut each measure
SHELF = 1500  # negatives of one reason that are looked at, at most
WEIGHTS = {"errors": 6, "failed_last": 5, "calls": 4, "group": 6}  # of marks in all rows, beside one of a shape
# Of a family's marks, those that count more than once: a fault that is mended calls one tool twice.
CLOSER = {"schema": {("tools", "calls"): 4}}
# Reasons that are ways of one mistake, and an empty memory, which no shape can hide, come up less often than others.
RARE = {
    "context-missing": 8, "context-missing-field": 4, "context-wrong-type": 4, "bad-session-id": 3,
    "bad-workspace-id": 3, "empty-memory": 3,
}  # fmt: skip


def is_decision(kind, twin, family=None):
    """Whether a row is about acting or not: by what a positive asks for, by the mistake (family) in a negative."""
    return kind in DECISIONS or bool(twin) if family is None else family == "decision"


class Cuts:
    """Where positives' measures are cut, so that each row has marks: above or below each cut."""

    def __init__(self, positives):
        table = np.sort(looks(positives), axis=0)
        places = [len(table) * part // PARTS for part in range(1, PARTS)]
        self.cuts = [np.unique(table[places, column]) for column in range(table.shape[1])]

    def weights(self, family):
        """What each mark counts in rows of a family."""
        counts = CLOSER.get(family, {})
        columns = [1] * len(self.cuts) + [counts.get(ratio, 1) for ratio in RATIOS]  # the ratios come last
        return np.repeat(columns[-len(self.cuts) :], [2 * len(cuts) for cuts in self.cuts]).astype(float)

    def marks(self, items):
        """A line of 0 and 1 for each row."""
        table = looks(items)
        columns = [table[:, [number]] for number in range(len(self.cuts))]
        sides = [
            side for column, cuts in zip(columns, self.cuts, strict=True) for side in (column > cuts, column < cuts)
        ]
        return np.concatenate(sides, axis=1).astype(float)


def looks(items):
    """What was measured of each row, a line each."""
    return np.frombuffer(b"".join(item.measures.looks for item in items)).reshape(len(items), -1)


def outer_marks(rows, groups):
    """(marks, weights) of (measures, group) rows: failed calls, number of calls, and what the row is counted under."""
    lines = [
        (m.errors > 0, m.failed_last, *(min(m.calls, 4) == n for n in range(5)), *(group == own for own in groups))
        for m, group in rows
    ]
    weights = [WEIGHTS["errors"], WEIGHTS["failed_last"], *[WEIGHTS["calls"]] * 5, *[WEIGHTS["group"]] * len(groups)]
    return np.array(lines, float).reshape(len(lines), len(weights)), np.array(weights, float)


class Balance:
    """How often the rows taken so far have each mark, against the positives: whole numbers, alike on every machine."""

    def __init__(self, marks, weights=1.0):
        self.rows, self.held, self.weights = len(marks), marks.sum(0), weights
        self.taken, self.count = np.zeros(marks.shape[1]), 0

    def pull(self):
        """What each mark of one more row adds to the squares of what is too much or too little."""
        return self.weights * (self.rows + 2 * (self.rows * self.taken - (self.count + 1) * self.held))

    def add(self, marks):
        self.taken += marks
        self.count += 1


class Shelf:
    """Negatives of one cell and reason, with their marks."""

    def __init__(self, items, cuts, groups, sources):
        self.items = items
        self.inner = cuts.marks(items)
        self.outer, _ = outer_marks([(item.measures, item.source.group) for item in items], groups)
        self.sources = np.array([sources[item.source.id] for item in items])
        self.free = np.ones(len(items), bool)


class Choice:
    """Negatives in stock and taken: by cell (family and kind of answer), reason, and whether paired."""

    def __init__(self, faults, targets, positives):
        self.targets = targets  # (family, kind of answer) -> wanted
        groups = sorted({item.group for item in positives})
        outer, weights = outer_marks([(item.measures, item.group) for item in positives], groups)
        self.all = Balance(outer, weights)
        by_kind = {kind: [item for item in positives if item.answer_kind == kind] for _, kind in targets}
        cuts = {kind: Cuts(items) for kind, items in by_kind.items()}
        self.cells = {
            (family, kind): Balance(cuts[kind].marks(by_kind[kind]), cuts[kind].weights(family))
            for family, kind in targets
        }
        self.taken, self.reasons, self.pairing = Counter(), Counter(), Counter()
        paired = {item.id for item in positives}
        stock = defaultdict(list)
        for item in sorted(faults, key=lambda item: item.id):
            shelf = (item.family, item.answer_kind), item.reason, item.source.id in paired
            if shelf[0] in targets and len(stock[shelf]) < SHELF:
                stock[shelf].append(item)
        known = sorted({item.source.id for items in stock.values() for item in items})
        sources = {name: number for number, name in enumerate(known)}
        self.used = np.zeros(len(known))
        self.stock = defaultdict(dict)  # cell -> (reason, paired) -> Shelf
        for (cell, *shelf), items in stock.items():
            self.stock[cell][tuple(shelf)] = Shelf(items, cuts[cell[1]], groups, sources)

    def shelves(self, cell, share):
        """The (reason, paired) shelves of a cell, the least used reason first, and there the side that lags."""
        behind = self.pairing[True] <= share * sum(self.pairing.values())

        def turn(shelf):
            reason, paired = shelf
            return self.reasons[cell, reason] * RARE.get(reason, 1), reason, paired is not behind

        return sorted(self.stock[cell], key=turn)

    def next_of(self, cell, share):
        """The negative of a cell that makes the set most like the positives, or None; share: of paired ones."""
        inner = self.cells[cell]
        by_inner, by_outer = self.all.rows * inner.pull(), inner.rows * self.all.pull()
        for name in self.shelves(cell, share):
            shelf = self.stock[cell][name]
            used = self.used[shelf.sources]
            open_rows = shelf.free & (used < CLOSELY_USED)
            if not open_rows.any():
                del self.stock[cell][name]
                continue
            # Exact in floating point too, as all terms are whole numbers below 2**53.
            cost = shelf.inner @ by_inner + shelf.outer @ by_outer + REUSE * inner.rows * self.all.rows * used
            return self.take(cell, name, shelf, int(np.where(open_rows, cost, np.inf).argmin()))
        return None

    def take(self, cell, name, shelf, place):
        self.taken[cell] += 1
        self.reasons[cell, name[0]] += 1
        self.pairing[name[1]] += 1
        self.used[shelf.sources[place]] += 1
        self.cells[cell].add(shelf.inner[place])
        self.all.add(shelf.outer[place])
        shelf.free[place] = False
        return shelf.items[place]


def wanted_cells(positives, count, families):
    """(family, kind of answer) -> negatives: families by share, answers without a call as often as among positives."""
    kinds = Counter(item.answer_kind for item in positives)
    shares = {family: count * share / sum(families.values()) for family, share in families.items()}
    wanted = {}
    for kind in ANSWERS:
        family = "honesty" if kind == "direct" else "decision"
        wanted[family, kind] = min(count * kinds[kind] / len(positives), shares.get(family, 0))
    for family, share in shares.items():
        wanted[family, "call"] = share - sum(number for (own, _), number in wanted.items() if own == family)
    return {cell: number for cell, number in wanted.items() if number > 0}


def choose_negatives(faults, positives, count, families, paired_share):
    """(negatives, shortages as text): families by share, reasons in turn, and as like the positives as can be."""
    targets = wanted_cells(positives, count, families)
    choice = Choice(faults, targets, positives)
    open_cells = sorted(targets)
    chosen = []
    while open_cells and len(chosen) < count:
        cell = min(open_cells, key=lambda cell: (choice.taken[cell] / targets[cell], cell))
        # Calls may stand in for what another cell lacks; more answers without one would tell the label.
        done = cell[1] != "call" and choice.taken[cell] >= round(targets[cell])
        found = None if done else choice.next_of(cell, paired_share)
        if found is None:
            open_cells.remove(cell)
        else:
            chosen.append(found)
    short = [
        f"negatives {family}/{kind}: {round(wanted) - choice.taken[family, kind]} of {round(wanted)} rows short"
        for (family, kind), wanted in sorted(targets.items())
        if choice.taken[family, kind] < round(wanted) - 1
    ]
    return chosen, short


def separation(positives, negatives):
    """Name of a measure -> area under the ROC curve of telling labels by it alone; .5 means that it tells nothing."""
    found = {}
    for name in ("closing", "length", "memory", "calls", "errors"):
        true = [getattr(item.measures, name) for item in positives]
        false = sorted(getattr(item.measures, name) for item in negatives)
        wins = sum(bisect_left(false, value) + bisect_right(false, value) for value in true) / 2
        found[name] = wins / max(1, len(true) * len(false))
    return found
