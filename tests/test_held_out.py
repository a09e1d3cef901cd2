"""Held-out rows: whole prompts on one side, labels in turn on the other."""

import random

import pytest

from lib.chat import example_from_row
from lib.held_out import is_held_out, split
from lib.interleaving import interleave
from lib.rendering import shown_text
from tests.tiny_model import call_row, row


def examples_of(rows):
    return [example_from_row(item)[0] for item in rows]


def kto_rows(seed, prompts=150):
    """Alternating rows, many prompts with a good and a bad answer, in the order that `make interleave` gives."""
    rng, rows = random.Random(seed), []
    for number in range(prompts):
        labels = rng.choice([(True, False), (True, False), (True,), (False,)])
        rows += [row(f"Ask {number}", f"Answer {number} {label}.", label) for label in labels]
    return interleave(rows, lambda r: r["label"], lambda r: [r["conversations"][0]["content"]])[0]


def test_all_rows_of_a_prompt_are_held_out_together():
    examples = examples_of(call_row(number) for number in range(300))
    held = [is_held_out(example, 0.2) for example in examples]
    assert 30 <= sum(held) <= 90
    assert held == [is_held_out(example, 0.2) for example in examples_of(call_row(n, False) for n in range(300))]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("share", [0.05, 0.2])
def test_a_split_keeps_prompts_together_and_labels_in_turn(seed, share):
    examples = examples_of(kto_rows(seed))
    labels = [example.label for example in examples]
    assert all(a != b for a, b in zip(labels, labels[1:], strict=False)), "the rows come in turn"
    kept, held = split(examples, share, alternate=True)
    assert held == sorted(held) and not set(kept) & set(held)
    assert {shown_text(examples[i]) for i in kept}.isdisjoint({shown_text(examples[i]) for i in held})
    assert 0.3 * share < len(held) / len(examples) < 2.5 * share
    turns = [labels[i] for i in kept]
    assert all(a != b for a, b in zip(turns, turns[1:], strict=False))
    assert len(kept) + len(held) > 0.9 * len(examples), "few find no place"


def test_nothing_moves_without_a_share_or_without_an_order():
    examples = examples_of(kto_rows(1))
    assert split(examples, 0.0, alternate=True) == (list(range(len(examples))), [])
    shuffled = random.Random(1).sample(examples, len(examples))
    kept, held = split(shuffled, 0.2, alternate=True)
    assert kept == sorted(kept) and len(kept) + len(held) == len(shuffled)
