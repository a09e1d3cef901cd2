"""Held-out rows: whole families of requests on one side, labels in turn on the other."""

import json
import random

import pytest

from lib.chat import example_from_row
from lib.diversity import normal
from lib.errors import CannotRun
from lib.held_out import is_held_out, split, with_families
from lib.interleaving import interleave
from lib.jsonl import write_rows
from lib.overlap import Index
from lib.rendering import shown_text
from lib.training_rows import load_examples
from tests.tiny_model import call_row, row


def examples_of(rows):
    return [example_from_row(item)[0] for item in rows]


def in_turn(labels):
    return all(a != b for a, b in zip(labels, labels[1:], strict=False))


def kto_rows(seed, prompts=150):
    """Alternating rows of which some ask the same, with the intent of each, in the order that `make interleave` gives.

    Every request is said in one of two ways of writing, and one in ten belongs to two intents.
    """
    rng, pairs = random.Random(seed), []
    for number in range(prompts):
        for label in rng.choice([(True, False), (True, False), (True,), (False,)]):
            asked = f"Ask {number}" if rng.random() < 0.5 else f"ask  {number}!"
            intent = number // 3 + (number % 10 == 0 and rng.random() < 0.5)
            pairs.append((row(asked, f"Answer {number} {label}.", label), f"intent-{intent}"))
    return interleave(pairs, lambda p: p[0]["label"], lambda p: [normal(p[0]["conversations"][0]["content"])])[0]


def load(folder, pairs, proven):
    write_rows(folder / "rows.jsonl", (item for item, _ in pairs))
    if proven:
        write_rows(folder / "rows.proof.jsonl", ({"intent": intent} for _, intent in pairs))
    return [example for _, example in load_examples([str(folder / "rows.jsonl")])]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("share", [0.05, 0.2])
@pytest.mark.parametrize("proven", [True, False])
def test_a_split_keeps_families_together_and_labels_in_turn(seed, share, proven, tmp_path):
    pairs = kto_rows(seed, 300)
    examples = load(tmp_path, pairs, proven)
    labels = [example.label for example in examples]
    assert in_turn(labels), "the rows come in turn"
    kept, held = split(examples, share, alternate=True)
    assert held == sorted(held) and not set(kept) & set(held)
    sides = [[{normal(shown_text(examples[i])) for i in side} for side in (kept, held)]]
    sides += [[{pairs[i][1] for i in side} for side in (kept, held)]] if proven else []
    assert all(one.isdisjoint(other) for one, other in sides)
    assert 0.2 * share < len(held) / len(examples) < 2.5 * share
    assert in_turn([labels[i] for i in kept])
    assert len(kept) + len(held) > 0.9 * len(examples), "few find no place"


def test_families_with_a_row_in_common_are_one_and_named_by_their_first_intent(tmp_path):
    asked = ["Add it", "add IT.", "Put it there", "Read it", "?!"]
    proofs = [{"intent": name} for name in ("b", "c", "c", "", "a")]
    rows = [row(text, "Done.") for text in asked]
    write_rows(tmp_path / "x.jsonl", rows)
    write_rows(tmp_path / "x.proof.jsonl", proofs)
    found = [example.family for _, example in load_examples([str(tmp_path / "x.jsonl")])]
    assert found == ["intent b", "intent b", "intent b", "words read it", "intent a"]
    write_rows(tmp_path / "x.proof.jsonl", proofs[1:])  # those of another file
    found = [example.family for _, example in load_examples([str(tmp_path / "x.jsonl")])]
    assert found == ["words add it", "words add it", "words put it there", "words read it", "words ?!"]


def test_what_is_held_out_does_not_depend_on_label_or_neighbours():
    examples = examples_of(call_row(number) for number in range(300))
    held = [is_held_out(example, 0.2) for example in examples]
    assert 30 <= sum(held) <= 90
    assert held == [is_held_out(example, 0.2) for example in examples_of(call_row(n, False) for n in range(300))]
    again = with_families([(f"x.jsonl:{n}", example) for n, example in enumerate(examples)])
    assert held == [is_held_out(example, 0.2) for _, example in again]


@pytest.mark.parametrize("name, share", [("sft", 0.03), ("kto", 0.05)])
def test_no_held_out_request_of_the_shipped_sets_is_a_near_copy_of_a_trained_one(name, share):
    path = f"datasets/syngen_tools_{name}.jsonl"
    examples = [example for _, example in load_examples([path])]
    with open(path.replace(".jsonl", ".proof.jsonl"), encoding="utf-8") as lines:
        intents = [json.loads(line)["intent"] for line in lines]
    kept, held = split(examples, share, name == "kto")
    assert {intents[i] for i in kept}.isdisjoint(intents[i] for i in held)
    trained = Index(shown_text(examples[i]) for i in kept)
    asked = [shown_text(examples[i]) for i in held]
    assert all(trained.nearest(text).likeness < 0.6 for text in asked) and len(asked) > 60


def test_nothing_moves_without_a_share_or_without_an_order():
    examples = examples_of(item for item, _ in kto_rows(1))
    assert split(examples, 0.0, alternate=True) == (list(range(len(examples))), [])
    shuffled = random.Random(1).sample(examples, len(examples))
    kept, held = split(shuffled, 0.2, alternate=True)
    assert kept == sorted(kept) and len(kept) + len(held) == len(shuffled)


def test_a_single_family_is_not_held_out_as_a_whole(tmp_path):
    examples = load(tmp_path, [(call_row(number), "two") for number in range(9)], proven=True)
    with pytest.raises(CannotRun, match="all rows are of families.* --eval-fraction 0"):
        split(examples, 0.2, alternate=False)
