"""An order for KTO rows: True and False take turns and rows that belong together stay apart.

KTO trainers pair each prompt with the answer of the previous row of its batch (cyclic) to estimate
the KL term. A neighbour with the same prompt would make that mismatched answer a fitting one.
"""

import heapq
from collections import Counter, defaultdict, deque

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


def spread_targets(numbers, reasons):
    """(target, number) pairs that space the rows of each reason evenly between 0 and 1."""
    by_reason = defaultdict(list)
    for number in numbers:
        by_reason[reasons[number]].append(number)
    pairs = []
    for members in by_reason.values():
        pairs += [((place + 0.5) / len(members), number) for place, number in enumerate(members)]
    return pairs


class Queue:
    """Rows of one label by target position; rows of a resting group wait with their group."""

    def __init__(self, pairs, groups):
        self.groups = groups
        self.heap = list(pairs)
        heapq.heapify(self.heap)
        self.waiting = defaultdict(list)  # group -> pairs whose group rested when they came up
        self.by_group = defaultdict(list)
        self.taken = set()
        for pair in sorted(pairs, reverse=True):
            self.by_group[groups[pair[1]]].append(pair)

    def wake(self, group):
        for pair in self.waiting.pop(group, ()):
            heapq.heappush(self.heap, pair)

    def take(self, resting):
        """The next row whose group does not rest, or None."""
        while self.heap:
            pair = heapq.heappop(self.heap)
            if pair[1] in self.taken:
                continue
            group = self.groups[pair[1]]
            if group in resting:
                self.waiting[group].append(pair)
                continue
            self.taken.add(pair[1])
            return pair[1]
        return None

    def take_from(self, group):
        """The next row of this group, or None."""
        pairs = self.by_group[group]
        while pairs:
            number = pairs.pop()[1]
            if number not in self.taken:
                self.taken.add(number)
                return number
        return None


def interleave(rows, label, keys, reason=lambda row: "", gap=GAP):
    """(ordered, unused): rows with True and False in turn, and those that found no place.

    label(row) is a bool; keys(row) lists what must not meet within `gap` positions (prompt, plan);
    rows of one reason(row) are spread evenly. The order of `rows` decides between equals.
    """
    labels = [bool(label(row)) for row in rows]
    groups = group_by_shared_keys([list(keys(row)) for row in rows])
    reasons = [reason(row) for row in rows]
    queues = {
        wanted: Queue(spread_targets([n for n, own in enumerate(labels) if own is wanted], reasons), groups)
        for wanted in (True, False)
    }
    counts = Counter(labels)
    length = min(2 * counts[False] + 1, 2 * counts[True])
    order = place_all(queues, Counter(groups), groups, length, gap)
    placed = set(order)
    return [rows[number] for number in order], [row for number, row in enumerate(rows) if number not in placed]


def place_all(queues, left, groups, length, gap):
    """Row numbers in their order; stops where no row of the wanted label may stand."""
    order = []
    resting = set()
    recent = deque()
    largest = [(-count, group) for group, count in left.items() if count > 1]
    heapq.heapify(largest)
    for position in range(length):
        if len(recent) > gap:
            group = recent.popleft()
            resting.discard(group)
            for queue in queues.values():
                queue.wake(group)
            if left[group] > 1:
                heapq.heappush(largest, (-left[group], group))
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
        count, group = largest[0]
        if group in resting or -count != left[group]:
            heapq.heappop(largest)
            continue
        if -count * (gap + 1) < positions_left:
            return None
        return queue.take_from(group)
    return None


def close_pairs(rows, keys, gap=GAP):
    """(i, j) positions that share a key within `gap`; empty for a safe order."""
    last = {}
    pairs = []
    for position, row in enumerate(rows):
        for key in keys(row):
            if key in last and position - last[key] <= gap:
                pairs.append((last[key], position))
            last[key] = position
    return pairs


def shared_prompt_partners(rows, prompt, batch_sizes=BATCH_SIZES):
    """(batch size, position) of every row whose KL partner has the same prompt."""
    prompts = [prompt(row) for row in rows]
    found = []
    for size in batch_sizes:
        for start in range(0, len(prompts), size):
            batch = prompts[start : start + size]
            if len(batch) < 2:
                continue
            found += [(size, start + place) for place in range(len(batch)) if batch[place] == batch[place - 1]]
    return found
