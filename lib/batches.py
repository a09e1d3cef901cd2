"""Batch plans: which rows make up each micro-batch of an epoch. Pure functions of lengths, labels and a seed."""

from __future__ import annotations

import random

WINDOW = 32  # batches whose rows are sorted together: lengths alike, yet far from one global order


def length_grouped(lengths: list[int], batch_size: int, seed: int, epoch: int = 0) -> list[list[int]]:
    """Every row index once, in batches of similar lengths, the batches in random order.

    The rows are shuffled, sorted by length inside windows of WINDOW batches, cut, and the batches shuffled. The longest
    batch goes first, so that a batch too big for the memory fails at once and not after an hour.
    """
    rng = random.Random(f"{seed}:{epoch}")
    order = list(range(len(lengths)))
    rng.shuffle(order)
    size = WINDOW * batch_size
    windows = [sorted(order[i : i + size], key=lambda row: (lengths[row], row)) for i in range(0, len(order), size)]
    batches = [window[i : i + batch_size] for window in windows for i in range(0, len(window), batch_size)]
    rng.shuffle(batches)
    longest = max(range(len(batches)), key=lambda i: max(lengths[row] for row in batches[i]), default=None)
    if longest:
        batches[0], batches[longest] = batches[longest], batches[0]
    return batches


def file_order(rows: int, batch_size: int) -> list[list[int]]:
    """Every row index once in file order; a last row that would stand alone joins the batch before it."""
    batches = [list(range(i, min(i + batch_size, rows))) for i in range(0, rows, batch_size)]
    if len(batches) > 1 and len(batches[-1]) == 1:
        tail = batches.pop()
        batches[-1] += tail
    return batches


def kl_partners(batch: list[int]) -> list[int]:
    """For each row of a batch the row that lends its completion as mismatched one: the previous, cyclic, as in TRL."""
    return [batch[i - 1] for i in range(len(batch))]


def padded_tokens(batches: list[list[int]], lengths: list[int]) -> int:
    """Tokens computed in an epoch, padding included."""
    return sum(len(batch) * max(lengths[row] for row in batch) for batch in batches)


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
