"""Batch plans: every row once, lengths alike, KL partners that are other rows."""

from hypothesis import given
from hypothesis import strategies as st

from lib.batches import file_order, kl_partners, length_grouped, order_report, padded_tokens

LENGTHS = st.lists(st.integers(1, 500), min_size=1, max_size=200)


@given(LENGTHS, st.integers(1, 16), st.integers(0, 5), st.integers(0, 3))
def test_every_row_is_in_exactly_one_length_grouped_batch(lengths, batch_size, seed, epoch):
    batches = length_grouped(lengths, batch_size, seed, epoch)
    assert sorted(row for batch in batches for row in batch) == list(range(len(lengths)))
    assert max(map(len, batches)) <= batch_size
    assert batches == length_grouped(lengths, batch_size, seed, epoch)


@given(LENGTHS, st.integers(1, 16))
def test_the_longest_row_is_computed_first(lengths, batch_size):
    first = length_grouped(lengths, batch_size, 1)[0]
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
