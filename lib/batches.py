"""Batch plans: which rows make up each micro-batch of an epoch. Pure functions of lengths, labels and a seed."""

from __future__ import annotations

import bisect
import random

WINDOW = 32  # batches whose rows are sorted together: lengths alike, yet far from one global order
# Few distinct padded lengths: each new one costs a CPU kernel a set-up, the allocator a block that fits nothing else.
LENGTH_STEP = 32


def length_grouped(lengths: list[int], batch_size: int, seed: int, epoch: int = 0) -> list[list[int]]:
    """Every row index once, in batches of similar lengths, the batches in random order.

    The rows are shuffled, sorted by length inside windows of WINDOW batches, cut, and the batches shuffled.
    """
    rng = random.Random(f"{seed}:{epoch}")
    order = list(range(len(lengths)))
    rng.shuffle(order)
    size = WINDOW * batch_size
    windows = [sorted(order[i : i + size], key=lambda row: (lengths[row], row)) for i in range(0, len(order), size)]
    batches = [window[i : i + batch_size] for window in windows for i in range(0, len(window), batch_size)]
    rng.shuffle(batches)
    return batches


def longest_first(batches: list[list[int]], lengths: list[int]) -> list[list[int]]:
    """The batches, of which the one with the longest row has changed places with the first.

    So a batch too big for the memory fails at once and not after an hour.
    """
    longest = max(range(len(batches)), key=lambda i: max(lengths[row] for row in batches[i]), default=None)
    if longest:
        batches[0], batches[longest] = batches[longest], batches[0]
    return batches


def cut(rows, pieces: int, least: int = 1) -> list:
    """The rows in so many consecutive parts of almost equal length; in fewer, where parts would be below `least`."""
    pieces = max(1, min(pieces, len(rows) // least))
    edges = [len(rows) * number // pieces for number in range(pieces + 1)]
    return [rows[start:end] for start, end in zip(edges, edges[1:], strict=False)]


def can_be_halved(batches, pieces: int, least: int) -> bool:
    """Whether twice as many pieces cut any of these batches further."""
    return any(len(cut(rows, 2 * pieces, least)) > len(cut(rows, pieces, least)) for rows in batches)


def file_order(rows: int, batch_size: int) -> list[list[int]]:
    """Every row index once in file order; a last row that would stand alone joins the batch before it."""
    edges = batch_edges(rows, batch_size)
    return [list(range(start, end)) for start, end in zip(edges, edges[1:], strict=False)]


def batch_edges(rows: int, batch_size: int) -> list[int]:
    """Where batches begin, and at last the number of rows; no batch of one row unless there is only one."""
    edges = list(range(0, rows, batch_size))
    if len(edges) > 1 and rows - edges[-1] == 1:
        edges.pop()
    return [*edges, rows]


def label_grouped(lengths: list[int], labels: list[bool], prompts: list, batch_size: int, seed: int) -> list[list[int]]:
    """Every row index once, for KTO: in each batch both labels in the data's ratio, lengths alike, prompts distinct.

    The rows of each label are sorted by length and dealt out in step; inside a batch the labels alternate as far as
    they go. A row whose prompt is in its batch already changes places with one of its label in the nearest batch that
    suits both, so that no KL partner shares its prompt; where none suits, it stays. The seed shuffles whole batches.
    """
    rng = random.Random(f"{seed}:labels")
    order = list(range(len(lengths)))
    rng.shuffle(order)
    order.sort(key=lengths.__getitem__)
    good, bad = ([row for row in order if labels[row] is kind] for kind in (True, False))
    edges = batch_edges(len(order), batch_size)
    cuts = label_cuts(edges, len(good))
    batches = [
        alternated(good[cuts[i] : cuts[i + 1]], bad[edges[i] - cuts[i] : edges[i + 1] - cuts[i + 1]])
        for i in range(len(edges) - 1)
    ]
    separate(batches, labels, prompts)
    rng.shuffle(batches)
    return batches


def label_cuts(edges: list[int], good: int) -> list[int]:
    """How many of the desirable rows lie before each batch edge: the data's ratio, rounded.

    Where there are as many rows of each label as batches, a batch that would lack one of them by that gets one.
    """
    rows, last = edges[-1], len(edges) - 1
    cuts = [(edge * good + rows // 2) // max(rows, 1) for edge in edges]
    if min(good, rows - good) < last:
        return cuts
    for i in range(1, last):
        size, rest = edges[i] - edges[i - 1], rows - edges[i]
        least = max(cuts[i - 1] + 1, good - rest + last - i)
        most = min(cuts[i - 1] + size - 1, good - (last - i))
        cuts[i] = min(max(cuts[i], least), most)
    return cuts


def alternated(good: list[int], bad: list[int]) -> list[int]:
    """Both lists in one, each spread evenly over it, good first."""
    placed = [((i + 0.5) / len(part), kind, row) for kind, part in enumerate((good, bad)) for i, row in enumerate(part)]
    return [row for _, _, row in sorted(placed)]


def separate(batches: list[list[int]], labels: list[bool], prompts: list) -> None:
    """Swap rows of one label between batches, near ones first, until no batch holds two rows of one prompt."""
    for i, batch in enumerate(batches):
        for place, row in enumerate(batch):
            if all(prompts[row] != prompts[other] for other in batch[:place]):
                continue
            here = {prompts[other] for other in batch}
            for j in outwards(i, len(batches)):
                there = [prompts[other] for other in batches[j]]
                fits = [
                    k
                    for k, other in enumerate(batches[j])
                    if labels[other] is labels[row] and prompts[other] not in here
                ]
                if prompts[row] not in there and fits:
                    batch[place], batches[j][fits[0]] = batches[j][fits[0]], row
                    break


def outwards(place: int, count: int):
    """Every number below count but place itself, the nearest first."""
    for distance in range(1, count):
        yield from (j for j in (place - distance, place + distance) if 0 <= j < count)


def kl_partners(batch: list[int]) -> list[int]:
    """For each row of a batch the row that lends its completion as mismatched one: the previous, cyclic, as in TRL."""
    return [batch[i - 1] for i in range(len(batch))]


def order_report(batches: list[list[int]], labels: list[bool], prompts: list[str]) -> dict:
    """What the trainer will really see: neighbours with equal labels, one-label batches, KL partners of one prompt."""
    sequence = [labels[row] for batch in batches for row in batch]
    return {
        "rows": len(sequence),
        "desirable": sum(sequence),
        "alternating": all(a != b for a, b in zip(sequence, sequence[1:], strict=False)),
        "one_label_batches": sum(len({labels[row] for row in batch}) == 1 for batch in batches),
        "same_prompt_partners": sum(
            prompts[row] == prompts[partner]
            for batch in batches
            for row, partner in zip(batch, kl_partners(batch), strict=True)
        ),
    }


def pad_rows(sequences: list[list[int]], value: int) -> list[list[int]]:
    """The sequences filled up with value to one length: that of the longest, rounded up to LENGTH_STEP."""
    length = -(-max(map(len, sequences)) // LENGTH_STEP) * LENGTH_STEP
    return [row + [value] * (length - len(row)) for row in sequences]


def packs(lengths: list[int], capacity: int) -> list[list[int]]:
    """Every row index once, in packs of at most capacity tokens: longest rows first, each where least room is left.

    Best fit decreasing. A row longer than the capacity is a pack by itself.
    """
    found: list[list[int]] = []
    rooms: list[tuple[int, int]] = []  # (tokens left, number of the pack), sorted
    for row in sorted(range(len(lengths)), key=lambda row: (-lengths[row], row)):
        place = bisect.bisect_left(rooms, (lengths[row], -1))
        if place == len(rooms):
            found.append([row])
            bisect.insort(rooms, (capacity - lengths[row], len(found) - 1))
        else:
            left, number = rooms.pop(place)
            found[number].append(row)
            bisect.insort(rooms, (left - lengths[row], number))
    return found
