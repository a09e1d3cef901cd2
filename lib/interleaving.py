"""An order for KTO rows: True and False take turns and rows that belong together stay apart.

KTO trainers pair each prompt with the answer of the previous row of its batch (cyclic) to estimate
the KL term. A neighbour with the same prompt would make that mismatched answer a fitting one.
"""

import heapq
from array import array
from bisect import bisect_left
from collections import defaultdict, deque

GAP = 32  # rows of one prompt or plan are further apart than this, which covers every batch up to 24
BATCH_SIZES = (2, 4, 8, 16, 24)


def group_by_shared_keys(key_lists):
    """A group number for each row; rows that share a key, even through others, share the group."""
    parent = list(range(len(key_lists)))

    def root(number):
        while parent[number] != number:
            parent[number] = parent[parent[number]]
            number = parent[number]
        return number

    first_with = {}
    for number, keys in enumerate(key_lists):
        for key in keys:
            parent[root(number)] = root(first_with.setdefault(key, number))
    return [root(number) for number in range(len(key_lists))]


def spread(numbers, reasons, room):
    """The numbers in the order in which rows of each reason are spaced evenly.

    Without reasons they stay as they stand, but for those beyond `room`: they are picked evenly and go to the end.
    """
    if reasons is None:
        count, surplus = len(numbers), max(0, len(numbers) - room)
        reserve = {(2 * i + 1) * count // (2 * surplus) for i in range(surplus)}
        kept = array("q", (number for place, number in enumerate(numbers) if place not in reserve))
        return kept + array("q", (numbers[place] for place in sorted(reserve)))
    by_reason = defaultdict(list)
    for number in numbers:
        by_reason[reasons[number]].append(number)
    pairs = []
    for members in by_reason.values():
        pairs += [((place + 0.5) / len(members), number) for place, number in enumerate(members)]
    return array("q", (number for _, number in sorted(pairs)))


def members_of_groups(ranked, groups, sizes):
    """(ranks of rows whose group has several, by group; these groups, ascending; where each one begins; and ends).

    Arrays and a search among them, since a dict of lists would need ten times the memory.
    """
    import numpy as np

    of_rank = np.asarray(groups, np.int64)[np.asarray(ranked, np.int64)]
    several = np.flatnonzero(np.asarray(sizes, np.int64)[of_rank] > 1)
    several = several[np.argsort(of_rank[several], kind="stable")]
    heads, begins = np.unique(of_rank[several], return_index=True)
    ends = np.append(begins[1:], len(several))[: len(heads)]
    return tuple(array("q", part.astype(np.int64).tobytes()) for part in (several, heads, begins, ends))


class Queue:
    """Rows of one label in their wanted order; rows of a resting group wait with their group.

    A row goes by its rank in that order. Of a group that wakes only the first row comes back, since the group rests
    again once one is taken: so a large group costs no more than its rows.
    """

    def __init__(self, ranked, groups, sizes):
        self.ranked, self.groups = ranked, groups
        self.next = 0  # ranks from here on have not come up yet
        self.woken = []  # a heap of ranks that came up once and had to wait
        self.waiting = {}  # group -> heap of ranks whose group rested when they came up
        self.taken = bytearray(len(ranked))
        self.members, self.heads, self.at, self.ends = members_of_groups(ranked, groups, sizes)

    def wake(self, group):
        waiting = self.waiting.get(group)
        while waiting:
            rank = heapq.heappop(waiting)
            if not self.taken[rank]:
                heapq.heappush(self.woken, rank)
                return
        self.waiting.pop(group, None)

    def take(self, resting):
        """The next row whose group does not rest, or None."""
        while self.woken or self.next < len(self.ranked):
            if self.woken and (self.next >= len(self.ranked) or self.woken[0] < self.next):
                rank = heapq.heappop(self.woken)
            else:
                rank, self.next = self.next, self.next + 1
            if self.taken[rank]:
                continue
            group = self.groups[self.ranked[rank]]
            if group in resting:
                heapq.heappush(self.waiting.setdefault(group, []), rank)
                continue
            self.taken[rank] = True
            return self.ranked[rank]
        return None

    def take_from(self, group):
        """The next row of this group, or None."""
        place = bisect_left(self.heads, group)
        if place == len(self.heads) or self.heads[place] != group:
            return None
        while self.at[place] < self.ends[place]:
            rank = self.members[self.at[place]]
            self.at[place] += 1
            if not self.taken[rank]:
                self.taken[rank] = True
                return self.ranked[rank]
        return None


def interleave(rows, label, keys, reason=lambda row: "", gap=GAP):
    """(ordered, unused): rows with True and False in turn, and those that found no place.

    label(row) is a bool; keys(row) lists what must not meet within `gap` positions (prompt, plan);
    rows of one reason(row) are spread evenly. The order of `rows` decides between equals.
    """
    labels = [bool(label(row)) for row in rows]
    groups = group_by_shared_keys([list(keys(row)) for row in rows])
    order = arrange(labels, groups, [reason(row) for row in rows], gap)
    placed = set(order)
    return [rows[number] for number in order], [row for number, row in enumerate(rows) if number not in placed]


def arrange(labels, groups, reasons=None, gap=GAP):
    """Row numbers with True and False in turn, rows of one group more than `gap` apart; some may find no place.

    labels holds a truth value, groups a number below the number of rows, reasons anything hashable for each row.
    """
    sizes = array("q", bytes(8 * len(labels)))
    for group in groups:
        sizes[group] += 1
    rooms = room_for(labels)
    queues = {}
    for label, room in rooms.items():
        numbers = array("q", (number for number, own in enumerate(labels) if bool(own) is label))
        queues[label] = Queue(spread(numbers, reasons, room), groups, sizes)
    return place_all(queues, sizes, groups, sum(rooms.values()), gap)


def room_for(labels):
    """{label: rows of it that an order can hold at most} when it begins with True and the labels take turns."""
    true = sum(map(bool, labels))
    false = len(labels) - true
    return {True: min(true, false + 1), False: min(true, false)}


def place_all(queues, left, groups, length, gap):
    """Row numbers in their order; stops where no row of the wanted label may stand."""
    order = array("q")
    resting = set()
    recent = deque()
    largest = [-left[group] * len(left) + group for group in range(len(left)) if left[group] > 1]  # size, then number
    heapq.heapify(largest)
    for position in range(length):
        if len(recent) > gap:
            group = recent.popleft()
            resting.discard(group)
            for queue in queues.values():
                queue.wake(group)
            if left[group] > 1:
                heapq.heappush(largest, -left[group] * len(left) + group)
        queue = queues[position % 2 == 0]
        number = urgent(queue, largest, left, resting, length - position, gap)
        if number is None:
            number = queue.take(resting)
        if number is None:
            break
        order.append(number)
        left[groups[number]] -= 1
        resting.add(groups[number])
        recent.append(groups[number])
    return order


def urgent(queue, largest, left, resting, positions_left, gap):
    """A row of a group so large that it must take its turn now or never, or None."""
    while largest:
        group = largest[0] % len(left)
        count = (group - largest[0]) // len(left)
        if group in resting or count != left[group]:
            heapq.heappop(largest)
            continue
        if count * (gap + 1) < positions_left:
            return None
        return queue.take_from(group)
    return None


def close_pairs(rows, keys, gap=GAP):
    """(i, j) positions that share a key within `gap`; empty for a safe order."""
    last = {}
    pairs = []
    for position, row in enumerate(rows):
        if position > gap:
            for key in keys(rows[position - gap - 1]):
                if last.get(key) == position - gap - 1:
                    del last[key]
        for key in keys(row):
            if key in last:
                pairs.append((last[key], position))
            last[key] = position
    return pairs


def shared_prompt_partners(rows, prompt, batch_sizes=BATCH_SIZES):
    """(batch size, position) of every row whose KL partner has the same prompt."""
    found = []
    for size in batch_sizes:
        for start in range(0, len(rows), size):
            batch = [prompt(row) for row in rows[start : start + size]]
            if len(batch) < 2:
                continue
            found += [(size, start + place) for place in range(len(batch)) if batch[place] == batch[place - 1]]
    return found
