"""Which candidates become rows: quotas first, then whatever is least like the requests already taken."""

import re
from collections import Counter, defaultdict

WORD = re.compile(r"[\w'/.-]+")


def trigrams(text):
    """The word 3-grams of a request, short ones as a whole."""
    words = WORD.findall(text.lower())
    return {tuple(words[n : n + 3]) for n in range(len(words) - 2)} or {tuple(words)}


class Field:
    """Candidates with their overlap to what was taken; one taken request updates only those that share a 3-gram."""

    def __init__(self, candidates):
        self.candidates = candidates
        self.grams = [trigrams(item.request) for item in candidates]
        self.holders = defaultdict(list)
        for number, grams in enumerate(self.grams):
            for gram in grams:
                self.holders[gram].append(number)
        self.overlap = [0.0] * len(candidates)
        self.free = set(range(len(candidates)))

    def take(self, number):
        self.free.discard(number)
        shared = Counter(other for gram in sorted(self.grams[number]) for other in self.holders[gram])
        own = len(self.grams[number])
        for other, count in shared.items():
            jaccard = count / (own + len(self.grams[other]) - count)
            if jaccard > self.overlap[other]:
                self.overlap[other] = jaccard
        return self.candidates[number]


class Caps:
    """Counts of frame, world and bound values, each with its limit."""

    def __init__(self, limits, total, worlds):
        self.limits = limits
        self.counts = Counter()
        self.world_limit = max(4, round(limits.get("world_share", 1) * total * max(1, 6 / max(1, worlds))))

    def keys(self, item):
        return (
            (("frame", item.frame), self.limits["frame"]),
            (("value", item.intent.id, item.binding), self.limits["value"]),
            (("world", item.expanded.world), self.world_limit),
        )

    def allow(self, item):
        return all(self.counts[key] < limit for key, limit in self.keys(item))

    def add(self, item):
        for key, _ in self.keys(item):
            self.counts[key] += 1


def wanted_by_group(groups, total, answers):
    """How many rows each group should have: answers without a tool by share, the rest evenly over the tools."""
    wanted = {name: round(total * share) for name, share in answers.items() if name in groups}
    tools = sorted(name for name in groups if name not in answers)
    left = total - sum(wanted.values())
    for place, name in enumerate(tools):
        wanted[name] = left // len(tools) + (place < left % len(tools))
    return wanted


def select(candidates, total, answers, limits):
    """The chosen candidates: every group in turn gives the one least like what was taken, until its quota is met."""
    by_group = defaultdict(list)
    candidates = sorted(candidates, key=lambda item: item.id)
    field = Field(candidates)
    for number, item in enumerate(candidates):
        by_group[item.group].append(number)
    wanted = wanted_by_group(by_group, total, answers)
    caps = Caps(limits, total, len({item.expanded.world for item in candidates}))
    chosen = []
    taken = Counter()
    open_groups = sorted(by_group)
    while len(chosen) < total and open_groups:
        for group in list(open_groups):
            number = None
            if taken[group] < wanted[group]:
                number = least_alike(field, by_group[group], caps, limits.get("overlap", 0.7))
            if number is None:
                open_groups.remove(group)
                continue
            item = field.take(number)
            caps.add(item)
            chosen.append(item)
            taken[group] += 1
    return chosen


def least_alike(field, numbers, caps, most):
    """The free candidate of a group with the smallest overlap that every cap allows; ids decide between equals."""
    best = None
    for number in numbers:
        if number not in field.free or field.overlap[number] > most:
            continue
        # Word overlap alone would take all short requests first; use of frame and values evens it out.
        item = field.candidates[number]
        if caps.allow(item) and (best is None or cost(field, caps, number) < cost(field, caps, best)):
            best = number
    return best


def cost(field, caps, number):
    item = field.candidates[number]
    return (
        round(field.overlap[number], 2) + 0.1 * caps.counts["frame", item.frame],
        caps.counts["world", item.expanded.world],
        number,
    )
