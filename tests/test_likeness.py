"""lib/likeness.py: what counts as the same, and hashes that tell how alike two texts are."""

import random

import numpy as np
import pytest

from lib.chat import example_from_row, to_native_row
from lib.likeness import band_keys, bands_for, digest, grams, jaccard, normalised, signature
from lib.overlap import jaccard as jaccard_of_sets
from lib.overlap import ngrams
from tests import rows
from tests.rows import CONTEXT, arguments, call_text

WORDS = [f"word{number}" for number in range(40)]
BASE = rows.row()


def said(row):
    return digest(normalised(example_from_row(row)[0]))


def other_context(**fields):
    args = {"context": CONTEXT | fields, "filePath": "Garden/Plan.md"}
    return rows.row(f"{call_text(args=args)}\n\nIt says: dig.")


SAME = {
    "the native form": to_native_row(example_from_row(BASE)[0]),
    "case and spacing of words": rows.row(user="  What is in\nthe SPRING plan?"),
    "another session": other_context(sessionId="session_1762160400001_zzzzzzzzz", workspaceId="ws_1"),
    "another order of keys": rows.row(
        f"{call_text(args={'filePath': 'Garden/Plan.md', 'context': dict(reversed(CONTEXT.items()))})}\n\nIt says: dig."
    ),
}  # fmt: skip
OTHER = {
    "the other label": rows.row(label=False),
    "no label": {"conversations": BASE["conversations"]},
    "a path in other case": rows.row(f"{call_text(args=arguments(filePath='garden/Plan.md'))}\n\nIt says: dig."),
    "another reason in the context": other_context(subgoal="Read it twice"),
    "another result": rows.row(f"{call_text(result='{}')}\n\nIt says: dig."),
    "tools of its own": {**BASE, "tools": [{"type": "function"}]},
    "the words of two turns run together": {
        "conversations": [{"role": "user", "content": "a b"}, {"role": "user", "content": "c"}]
    },
}


@pytest.mark.parametrize("case", SAME)
def test_spelling_makes_no_other_conversation(case):
    assert said(SAME[case]) == said(BASE)


def test_what_is_said_does():
    assert len({said(row) for row in [BASE, *OTHER.values()]}) == len(OTHER) + 1


def test_odd_values_have_a_digest():
    assert said(rows.row(f"{call_text(args=arguments(n=10**30))}\n\nx")) != said(BASE)
    assert said(rows.row(f"{call_text(args='[1]')}\n\nx")) != said(BASE)


def test_likeness_by_hashes_is_that_of_the_words():
    rng = random.Random(1)
    texts = [" ".join(rng.choices(WORDS, k=rng.randrange(1, 30))) for _ in range(40)]
    texts += [text.replace(" ", ", ", 1).title() for text in texts[:20]]
    for left, right in zip(texts, texts[7:], strict=False):
        if min(len(left.split()), len(right.split())) >= 3:
            assert jaccard(grams(left), grams(right)) == pytest.approx(jaccard_of_sets(ngrams(left), ngrams(right)))
    assert jaccard(grams("two words"), grams("Two  words!")) == 1.0 and jaccard(grams("one"), grams("two")) == 0.0


@pytest.mark.parametrize("threshold", [0.5, 0.7, 0.8, 0.9, 0.95])
def test_bands_find_95_of_100_pairs_at_the_threshold_and_longer_ones_would_not(threshold):
    count, length = bands_for(threshold)
    chance = 1 - (1 - threshold**length) ** count
    longer = 128 // (length + 1)
    assert count * length <= 128 and chance >= 0.95 > 1 - (1 - threshold ** (length + 1)) ** longer


def test_keys_are_equal_just_where_the_bands_are():
    rng = random.Random(2)
    words = rng.choices(WORDS, k=200)
    near = [*words]
    near[50] = "other"
    left, right = grams(" ".join(words)), grams(" ".join(near))
    shape = bands_for(0.9)
    bands = [signature(members)[: shape[0] * shape[1]].reshape(shape) for members in (left, right)]
    same = (bands[0] == bands[1]).all(axis=1)
    keys = [band_keys(members, shape) for members in (left, right)]
    assert np.array_equal(keys[0] == keys[1], same) and same.any()
    assert len(set(keys[0].tolist())) == shape[0]
