"""KTO before any tensor: its batches and what is said of them, mismatched completions, the check of the first step."""

from __future__ import annotations

import random

from lib.batches import file_order, kl_partners, label_grouped, longest_first, order_report
from lib.cli import log
from lib.errors import CannotRun
from lib.rendering import Rendered

FIRST_STEP_TOLERANCE = 1e-3  # nats: policy and reference are the same weights before the first update


def planned_batches(rows: list[Rendered], desirable: list[bool], config) -> list[list[int]]:
    """The micro-batches that the training will use, reported; `epochs` below 1 asks for that share of them only."""
    lengths = [len(row.input_ids) for row in rows]
    prompts = [tuple(row.input_ids[: row.prompt_length]) for row in rows]
    if config.order == "file":
        batches = file_order(len(rows), config.batch_size)
    else:
        batches = label_grouped(lengths, desirable, prompts, config.batch_size, config.seed)
    if config.epochs < 1:
        steps = -(-len(batches) * config.epochs // config.grad_accumulation)
        batches = batches[: max(1, int(steps)) * config.grad_accumulation]
    if config.order == "grouped":
        batches = longest_first(batches, lengths)
    found = order_report(batches, desirable, prompts)
    log(
        f"Order: {found['rows']} rows, {found['desirable']} desirable, "
        f"{'strictly alternating' if found['alternating'] else 'not strictly alternating'}; "
        f"{found['one_label_batches']} of {len(batches)} batches with one label, "
        f"{found['same_prompt_partners']} KL partners of the same prompt"
    )
    return batches


def epoch_order(batches: list[list[int]], config, epoch: int) -> list[list[int]]:
    """The batches as an epoch takes them: grouped ones anew in an order of their own, those in file order as they are.

    What is in a batch stays, so that KL partners and reference log-probabilities hold for all epochs.
    """
    if config.order == "file" or epoch == 0:
        return batches
    return random.Random(f"{config.seed}:order:{epoch}").sample(batches, len(batches))


def partners(batches: list[list[int]]) -> dict[int, int]:
    """For each row the one whose completion it lends for the KL estimate."""
    return {a: b for batch in batches for a, b in zip(batch, kl_partners(batch), strict=True)}


def swap_completion(row: Rendered, partner: Rendered) -> tuple[list[int], list[int]]:
    """(ids, labels) of row's prompt with partner's completion."""
    ids = row.input_ids[: row.prompt_length] + partner.input_ids[partner.prompt_length :]
    return ids, row.labels[: row.prompt_length] + partner.labels[partner.prompt_length :]


def check_start(worst: float, file) -> None:
    """CannotRun unless rewards and KL of the first step, at most `worst`, are 0: the reference, from `file` unless that
    is None, would not be the SFT model otherwise."""
    if not worst <= FIRST_STEP_TOLERANCE:
        remedy = f"Delete {file}, or name" if file else "Name"
        raise CannotRun(
            f"at the first step rewards and KL must be 0, but reach {worst:.3g}: the reference is not the model that "
            f"KTO starts from. {remedy} the SFT run: --from-run runs/<name>."
        )
