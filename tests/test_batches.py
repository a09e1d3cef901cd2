"""Batch plans: every row once, lengths alike, KL partners that are other rows."""

from hypothesis import given
from hypothesis import strategies as st

from lib.batches import (
    can_be_halved,
    cut,
    file_order,
    kl_partners,
    label_grouped,
    length_grouped,
    longest_first,
    order_report,
    outwards,
    packs,
)

LENGTHS = st.lists(st.integers(1, 500), min_size=1, max_size=200)


def padded_tokens(batches, lengths):
    """Tokens computed in an epoch, padding included."""
    return sum(len(batch) * max(lengths[row] for row in batch) for batch in batches)


@given(LENGTHS, st.integers(1, 16), st.integers(0, 5), st.integers(0, 3))
def test_every_row_is_in_exactly_one_length_grouped_batch(lengths, batch_size, seed, epoch):
    batches = length_grouped(lengths, batch_size, seed, epoch)
    assert sorted(row for batch in batches for row in batch) == list(range(len(lengths)))
    assert max(map(len, batches)) <= batch_size
    assert batches == length_grouped(lengths, batch_size, seed, epoch)


@given(LENGTHS, st.integers(1, 16))
def test_the_longest_row_is_computed_first(lengths, batch_size):
    batches = length_grouped(lengths, batch_size, 1)
    first = longest_first(list(batches), lengths)[0]
    assert sorted(map(sorted, longest_first(list(batches), lengths))) == sorted(map(sorted, batches))
    assert max(lengths) in [lengths[row] for row in first]


def test_grouping_computes_fewer_padding_tokens_than_file_order():
    lengths = [10 + 37 * i % 400 for i in range(400)]
    grouped, plain = length_grouped(lengths, 8, 1), file_order(400, 8)
    assert padded_tokens(grouped, lengths) < 1.15 * sum(lengths)
    assert padded_tokens(plain, lengths) > 1.4 * sum(lengths)


def test_epochs_differ_and_the_seed_decides():
    lengths = list(range(100))
    assert length_grouped(lengths, 8, 1, 0) != length_grouped(lengths, 8, 1, 1)
    assert length_grouped(lengths, 8, 1) != length_grouped(lengths, 8, 2)


@given(st.integers(1, 100), st.integers(2, 24))
def test_file_order_leaves_no_row_alone_with_itself(rows, batch_size):
    batches = file_order(rows, batch_size)
    assert [row for batch in batches for row in batch] == list(range(rows))
    assert all(len(batch) > 1 for batch in batches) or rows == 1


LABELLED = st.lists(st.tuples(st.integers(1, 500), st.booleans()), min_size=1, max_size=150)


@given(LABELLED, st.integers(2, 24), st.integers(0, 3))
def test_label_groups_hold_every_row_once_and_no_row_alone(rows, batch_size, seed):
    lengths, labels = [length for length, _ in rows], [label for _, label in rows]
    batches = label_grouped(lengths, labels, list(range(len(rows))), batch_size, seed)
    assert sorted(row for batch in batches for row in batch) == list(range(len(rows)))
    assert all(1 < len(batch) <= batch_size + 1 for batch in batches) or len(rows) == 1
    assert batches == label_grouped(lengths, labels, list(range(len(rows))), batch_size, seed)


@given(LABELLED, st.integers(2, 24))
def test_labels_are_dealt_out_in_the_ratio_of_the_data(rows, batch_size):
    lengths, labels = [length for length, _ in rows], [label for _, label in rows]
    for batch in label_grouped(lengths, labels, list(range(len(rows))), batch_size, 1):
        expected = len(batch) * sum(labels) / len(rows)
        assert abs(sum(labels[row] for row in batch) - expected) < 1.01


@given(LABELLED, st.integers(2, 24))
def test_every_batch_has_both_labels_where_there_are_rows_enough(rows, batch_size):
    lengths, labels = [length for length, _ in rows], [label for _, label in rows]
    batches = label_grouped(lengths, labels, list(range(len(rows))), batch_size, 1)
    rarer = min(sum(labels), len(labels) - sum(labels))
    mixed = sum(len({labels[row] for row in batch}) == 2 for batch in batches)
    assert mixed == min(rarer, len(batches))


@given(LABELLED, st.integers(2, 8), st.integers(1, 9))
def test_a_kl_partner_has_another_prompt_where_there_are_prompts_enough(rows, batch_size, copies):
    """Each prompt `copies` times: no more often than there are batches to put it in, and both labels alike."""
    lengths = [length for length, _ in rows for _ in range(copies)]
    labels = [i % 2 == 0 for i in range(len(lengths))]
    prompts = [i // copies for i in range(len(lengths))]
    batches = label_grouped(lengths, labels, prompts, batch_size, 2)
    if 2 * copies <= len(batches) and len(rows) > batch_size + 1:
        assert order_report(batches, labels, prompts)["same_prompt_partners"] == 0


def test_the_labels_are_spread_evenly_when_a_short_last_batch_would_miss_one():
    labels = [True] * 3 + [False] * 15
    batches = label_grouped([5] * 18, labels, list(range(18)), 8, 1)
    assert sorted(map(len, batches)) == [2, 8, 8] and all(len({labels[row] for row in batch}) == 2 for batch in batches)


def test_near_numbers_come_first():
    assert list(outwards(2, 6)) == [1, 3, 0, 4, 5] and list(outwards(0, 1)) == []


@given(LENGTHS, st.integers(1, 600))
def test_packs_hold_every_row_once_and_no_more_than_their_capacity(lengths, capacity):
    found = packs(lengths, capacity)
    assert sorted(row for pack in found for row in pack) == list(range(len(lengths)))
    assert all(sum(lengths[row] for row in pack) <= capacity or len(pack) == 1 for pack in found)
    rooms = [capacity - sum(lengths[row] for row in pack) for pack in found]
    # Best fit: no row of a later pack would have fitted into what an earlier one has left.
    assert all(lengths[pack[0]] > room for i, pack in enumerate(found) for room in rooms[:i])
    assert found == packs(lengths, capacity)


def test_packs_of_the_shipped_lengths_are_almost_full():
    lengths = [40 + 37 * i % 400 for i in range(400)]
    found = packs(lengths, 2048)
    assert sum(lengths) > 0.98 * 2048 * (len(found) - 1)


@given(st.lists(st.integers(1, 500), min_size=20, max_size=120), st.integers(2, 8), st.integers(0, 3))
def test_rows_of_one_prompt_never_share_a_batch(lengths, batch_size, seed):
    rows = lengths + [length + 1 for length in lengths]  # each prompt once desirable and once not, of like length
    labels = [True] * len(lengths) + [False] * len(lengths)
    prompts = 2 * list(range(len(lengths)))
    batches = label_grouped(rows, labels, prompts, batch_size, seed)
    report = order_report(batches, labels, prompts)
    assert report["same_prompt_partners"] == 0
    assert report["one_label_batches"] == 0
    assert padded_tokens(batches, rows) <= padded_tokens([list(range(len(rows)))], rows)


def test_one_prompt_alone_is_left_together():
    assert sorted(map(sorted, label_grouped([5, 5, 5, 5], [True, False] * 2, ["a"] * 4, 2, 1))) == [[0, 1], [2, 3]]


def test_label_groups_of_equal_halves_alternate_and_pad_little():
    lengths, labels = [10 + 37 * i % 400 for i in range(400)], [i % 2 == 0 for i in range(400)]
    batches = label_grouped(lengths, labels, list(range(400)), 8, 1)
    assert order_report(batches, labels, list(range(400)))["alternating"]
    assert padded_tokens(batches, lengths) < 1.05 * sum(lengths)


def test_the_kl_partner_is_the_previous_row_of_the_batch():
    assert kl_partners([4, 5, 6]) == [6, 4, 5]


def test_the_order_report_says_what_the_trainer_sees():
    report = order_report([[0, 1], [2, 3]], [True, False, True, True], ["a", "b", "c", "c"])
    assert report == {
        "rows": 4,
        "desirable": 3,
        "alternating": False,
        "one_label_batches": 1,
        "same_prompt_partners": 2,
    }


@given(st.integers(1, 40), st.integers(1, 16), st.integers(1, 3))
def test_a_cut_keeps_every_row_once_in_parts_of_almost_one_length(rows, pieces, least):
    parts = cut(list(range(rows)), pieces, least)
    assert sum(parts, []) == list(range(rows)) and len(parts) == max(1, min(pieces, rows // least))
    sizes = [len(part) for part in parts]
    assert max(sizes) - min(sizes) <= 1 and (min(sizes) >= least or len(parts) == 1)
    smaller = max(map(len, cut(list(range(rows)), 2 * pieces, least)))
    assert can_be_halved([range(rows)], pieces, least) or smaller == max(sizes)
