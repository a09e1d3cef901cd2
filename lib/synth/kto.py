"""The KTO set: positives by shares of their own, and proven negatives that look like them from outside."""

from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict

from lib.synth.sketches import ANSWERS

DECISIONS = ("ask", "cannot", "direct")
CLOSELY_USED = 2  # negatives made from one positive
REUSE = 0.5  # what a second negative of one positive costs, in fillings of a bin
BINS = {"closing": 10, "length": 10, "memory": 8}  # equal parts in which the positives' measures are compared


def is_decision(source, family=""):
    """Whether a row is about acting or not: what it asks for, or the mistake in it."""
    return source.kind in DECISIONS or bool(source.twin) or family == "decision"


class Likeness:
    """How far the negatives taken so far fill each bin of what can be seen from outside, as the positives do."""

    def __init__(self, positives, count):
        self.edges = {}
        for name, parts in BINS.items():
            values = sorted(getattr(item.measures, name) for item in positives)
            self.edges[name] = sorted({values[len(values) * part // parts] for part in range(1, parts)})
        tally = Counter(place for item in positives for place in self.places(item.measures, item.group))
        self.wanted = {place: count * number / len(positives) for place, number in tally.items()}
        self.taken = Counter()

    def places(self, measures, group):
        """The bins of one row: lengths by the positives' quantiles, calls, errors, and the tool."""
        lengths = ((name, bisect_right(edges, getattr(measures, name))) for name, edges in self.edges.items())
        return (*lengths, ("calls", min(measures.calls, 4)), ("errors", measures.errors > 0), ("group", group))

    def cost(self, places):
        """The sum of how full the bins are, 1 for a bin that has all it should."""
        return sum((self.taken[place] + 1) / (self.wanted.get(place, 0) + 1) for place in places)


class Choice:
    """Negatives in stock and taken: by cell (family and kind of answer), reason, and whether paired."""

    def __init__(self, faults, targets, likeness, paired):
        self.targets = targets  # (family, kind of answer) -> wanted
        self.likeness = likeness
        self.paired = paired  # ids of the positives in the set
        self.taken, self.reasons, self.sources, self.pairing = Counter(), Counter(), Counter(), Counter()
        self.stock = defaultdict(lambda: defaultdict(lambda: defaultdict(list)))  # cell, (reason, paired), bins
        for item in sorted(faults, key=lambda item: item.id, reverse=True):
            places = likeness.places(item.measures, item.source.group)
            shelf = item.reason, item.source.id in paired
            self.stock[item.family, item.answer_kind][shelf][places].append(item)

    def shelves(self, cell, share):
        """The (reason, paired) shelves of a cell, the least used reason first, and there the side that lags."""
        behind = self.pairing[True] <= share * sum(self.pairing.values())
        return sorted(
            self.stock[cell], key=lambda shelf: (self.reasons[cell, shelf[0]], shelf[0], shelf[1] is not behind)
        )

    def next_of(self, cell, share):
        """The negative of a cell that makes the set most like the positives, or None; share: of paired ones."""
        for shelf in self.shelves(cell, share):
            bins = self.stock[cell][shelf]
            best = None
            for places in list(bins):
                while bins[places] and self.sources[bins[places][-1].source.id] >= CLOSELY_USED:
                    bins[places].pop()
                if not bins[places]:
                    del bins[places]
                    continue
                item = bins[places][-1]
                cost = self.likeness.cost(places) + REUSE * self.sources[item.source.id]
                if best is None or (cost, item.id) < best[:2]:
                    best = cost, item.id, places
            if best:
                return self.take(cell, shelf, bins[best[2]].pop(), best[2])
        return None

    def take(self, cell, shelf, item, places):
        self.taken[cell] += 1
        self.reasons[cell, shelf[0]] += 1
        self.pairing[shelf[1]] += 1
        self.sources[item.source.id] += 1
        self.likeness.taken.update(places)
        return item


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
    choice = Choice(faults, targets, Likeness(positives, count), {item.id for item in positives})
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
