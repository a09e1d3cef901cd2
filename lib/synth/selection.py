"""Which candidates become rows: pairs, what is rare, quotas by shape, and then what is least like the rows taken."""

import re
from collections import Counter, defaultdict

from lib.synth.sketches import SHAPES

WORD = re.compile(r"[\w'/.-]+")
TWINS = "twins"  # the cells of pairs, which are taken before all others
START = 30  # rows before the shares of speech acts and of ways to ask count
PULL = 0.5  # of a way to ask that is short of its share, against words in common with other requests
REUSE = 0.1  # what it costs when a frame or a memory has been used before, for each time
SMALL_SET = 50  # calls below which the five most called tools have no limit worth the name


def trigrams(text):
    """The word 3-grams of a request, short ones as a whole."""
    words = WORD.findall(text.lower())
    return {tuple(words[n : n + 3]) for n in range(len(words) - 2)} or {tuple(words)}


class Field:
    """Requests with their overlap to what was taken; one taken request updates only those that share a 3-gram."""

    def __init__(self, requests):
        self.grams = [trigrams(request) for request in requests]
        self.holders = defaultdict(list)
        for number, grams in enumerate(self.grams):
            for gram in grams:
                self.holders[gram].append(number)
        self.overlap = [0.0] * len(requests)
        self.free = [True] * len(requests)

    def take(self, number):
        self.free[number] = False
        shared = Counter(other for gram in self.grams[number] for other in self.holders[gram])
        own = len(self.grams[number])
        for other, count in shared.items():
            jaccard = count / (own + len(self.grams[other]) - count)
            if jaccard > self.overlap[other]:
                self.overlap[other] = jaccard


class Caps:
    """Counts of frame, world, bound values, first words, skeletons, memories and calls, each with its limit."""

    def __init__(self, limits, total, worlds, most_calls):
        self.limits = limits
        self.counts = Counter()
        self.calls = Counter()
        self.world_limit = max(4, round(limits.get("world_share", 1) * total * max(1, 6 / max(1, worlds))))
        self.word_limit = max(4, round(limits.get("first_word", 1) * total))
        self.memory_limit = limits.get("memory", total)
        self.skeleton_limit = limits.get("skeleton", total)
        self.call_limit = most_calls
        self.top_five = 0

    def keys(self, item):
        return (
            (("frame", item.frame), self.limits["frame"]),
            (("value", item.intent, item.binding), self.limits["value"]),
            (("world", item.world), self.world_limit),
            (("word", item.opening), self.word_limit),
            (("skeleton", item.skeleton), self.skeleton_limit),
            *((("memory", text), self.memory_limit) for text in item.memories),
        )

    def allow(self, unit):
        """Whether no cap stands against all rows of a unit together."""
        if any(self.counts[key] >= limit for item in unit for key, limit in self.keys(item)):
            return False
        tools = [tool for item in unit for tool in item.tools]
        return self.top_five + len(tools) <= self.call_limit or self.five_largest(tools) <= self.call_limit

    def five_largest(self, tools):
        """The calls of the five most called tools, were these calls added."""
        return sum(sorted((self.calls + Counter(tools)).values())[-5:])

    def add(self, unit):
        for item in unit:
            self.calls.update(item.tools)
            for key, _ in self.keys(item):
                self.counts[key] += 1
        self.top_five = sum(sorted(self.calls.values())[-5:])


def rows_by_shape(total, shares):
    """Rows of each shape that add up to the total, by largest remainder."""
    exact = {shape: total * share / sum(shares.values()) for shape, share in shares.items()}
    rows = {shape: int(value) for shape, value in exact.items()}
    for shape in sorted(exact, key=lambda shape: (rows[shape] - exact[shape], shape))[: total - sum(rows.values())]:
        rows[shape] += 1
    return rows


class Selection:
    """Units (a row alone, or the rows of a twin) taken so far, and the cells from which the next may come."""

    def __init__(self, units, total, shares, quotas, preferred):
        self.units = sorted(units, key=lambda unit: unit[0].id)
        self.total = total
        self.quota = rows_by_shape(total, shares)
        self.left = dict(self.quota)
        self.preferred = preferred
        self.most_alike = quotas["caps"].get("overlap", 0.7)
        self.field = Field([unit[0].request for unit in self.units])
        most_calls = quotas.get("top_five_calls", 1) * max(self.expected_calls(), SMALL_SET)
        self.caps = Caps(quotas["caps"], total, len({unit[0].world for unit in self.units}), most_calls)
        self.acts = quotas.get("acts", {})
        self.asked = Counter()  # rows of each speech act
        self.ways = quotas.get("ways", {})
        self.put = Counter()  # rows that ask in each way
        self.least = quotas.get("least", {})
        self.given = Counter()  # rows that give each parameter and value, and of each tool and speech act
        self.groups = Counter()
        self.chosen = []
        self.cells = defaultdict(lambda: defaultdict(list))  # shape, group -> unit numbers
        for number, (first, *more) in enumerate(self.units):
            if more:
                self.cells[TWINS][first.key].append(number)
            else:
                self.cells[first.shape][self.group(first)].append(number)

    def expected_calls(self):
        """How many calls the quotas will bring, from the mean of the candidates of each shape."""
        calls, rows = Counter(), Counter()
        for item in (item for unit in self.units for item in unit):
            calls[item.shape] += len(item.tools)
            rows[item.shape] += 1
        return sum(number * calls[shape] / max(1, rows[shape]) for shape, number in self.quota.items())

    def group(self, item):
        """What takes turns within a shape: tools, or intents where no tool acts."""
        return item.tool or item.intent

    def take(self, number):
        unit = self.units[number]
        self.field.take(number)
        self.caps.add(unit)
        for item in unit:
            self.left[item.shape] = self.left.get(item.shape, 0) - 1
            self.groups[self.group(item)] += 1
            self.asked[item.act] += 1
            self.put.update(item.ways)
            self.given.update(item.gives)
        self.groups[unit[0].key] += len(unit) > 1
        self.chosen += unit

    def cost(self, number):
        # Word overlap alone would take all short requests first; use of frame and values evens it out.
        item = self.units[number][0]
        used = self.caps.counts
        again = used["frame", item.frame] + max((used["memory", text] for text in item.memories), default=0)
        alike = round(self.field.overlap[number], 2) + REUSE * again + self.surplus(item)
        return item.id not in self.preferred, alike, used["world", item.world], number

    def surplus(self, item):
        """By how much its speech act and the ways it is asked have had more than their share: the lower, the better."""
        ways = sum(self.beyond(self.put[way], self.ways.get(way, 0)) for way in item.ways)
        return max(0.0, self.beyond(self.asked[item.act], self.acts.get(item.act, 0))) + PULL * ways

    def beyond(self, rows, share):
        """How far a number of rows is from its share of those taken so far: -1 for none, 1 for twice as many."""
        fair = share * (len(self.chosen) + START)
        return min(1.0, max(-1.0, round(rows / fair - 1, 2))) if fair else 0.0

    def least_alike(self, numbers):
        """The free unit with the smallest cost that caps and quotas allow; ids decide between equals."""
        best, lowest = None, None
        for number in numbers:
            if not self.field.free[number] or self.field.overlap[number] > self.most_alike:
                continue
            cost = self.cost(number)
            if (best is None or cost < lowest) and self.fits(self.units[number]):
                best, lowest = number, cost
        return best

    def fits(self, unit):
        shapes = Counter(item.shape for item in unit)
        return all(self.left.get(shape, 0) >= number for shape, number in shapes.items()) and self.caps.allow(unit)

    def next_of(self, cell):
        """The next unit of a cell, from the group with the fewest rows; groups without one are dropped."""
        groups = self.cells[cell]
        while groups:
            group = min(groups, key=lambda group: (self.groups[group], group))
            number = self.least_alike(groups[group])
            if number is not None:
                return number
            del groups[group]
        return None

    def take_twins(self, rows):
        """Pairs until they hold that many rows."""
        while len(self.chosen) < rows and (number := self.next_of(TWINS)) is not None:
            self.take(number)

    def take_rare(self):
        """Rows until every parameter, value and speech act of a tool is there often enough, the rarest first."""
        holders = defaultdict(list)
        for number, unit in enumerate(self.units):
            if len(unit) == 1:
                for name in unit[0].gives:
                    holders[name].append(number)
        for name in sorted(holders, key=lambda name: (len(holders[name]), name)):
            while self.given[name] < self.enough(name) and (number := self.least_alike(holders[name])) is not None:
                self.take(number)

    def enough(self, name):
        """The rows that something given by calls should have."""
        return self.least.get(name[0], 0)

    def rare(self):
        """What some candidate gives and too few of the chosen rows do, as text."""
        known = sorted({name for unit in self.units for item in unit for name in item.gives})
        return [
            f"{' '.join(name)}: {self.given[name]} rows, {self.enough(name)} wanted"
            for name in known
            if self.given[name] < self.enough(name)
        ]

    def fill(self):
        """Rows of every shape in step with the quotas, until each is met or has no candidate left."""
        open_shapes = sorted(shape for shape in self.left if self.left[shape] > 0)
        while open_shapes and len(self.chosen) < self.total:
            shape = max(open_shapes, key=lambda shape: (self.left[shape] / self.quota[shape], shape))
            number = self.next_of(shape) if self.left[shape] > 0 else None
            if number is None:
                open_shapes.remove(shape)
            else:
                self.take(number)

    def fill_up(self):
        """Rows of other shapes in place of those that some shape lacks."""
        for shape in SHAPES:
            self.left[shape] = self.total - len(self.chosen)
            while self.left[shape] > 0 and (number := self.next_of(shape)) is not None:
                self.take(number)


def select(units, total, shares, quotas, preferred=frozenset()):
    """(chosen rows, shortages as text): quotas by shape, tools in turn, the least alike first.

    units: tuples of sketches, one or a twin's.  shares: shape -> share of rows.  preferred: ids that go first.
    """
    selection = Selection(units, total, shares, quotas, preferred)
    twins = round(total * quotas.get("twins", 0))
    selection.take_twins(twins)
    paired = len(selection.chosen)
    selection.take_rare()
    selection.fill()
    left = dict(selection.left)
    selection.fill_up()
    short = [f"twins: {twins - paired} of {twins} rows short"] if paired < twins - 1 else []
    short += [f"{name}: {number} of {selection.quota[name]} rows short" for name, number in left.items() if number > 0]
    tools = Counter(item.tool for item in selection.chosen)
    least = round(total * quotas.get("least_per_tool", 0))
    known = sorted({item.tool for unit in units for item in unit if item.tool})
    short += [f"{tool}: {tools[tool]} rows, {least} wanted" for tool in known if tools[tool] < least]
    short += selection.rare()
    if len(selection.chosen) < total:
        short.append(f"all shapes: {total - len(selection.chosen)} of {total} rows short")
    return selection.chosen, short
