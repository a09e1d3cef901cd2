"""The KTO order: labels take turns, kin stay apart, nothing is lost."""

import heapq
from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from lib.interleaving import GAP, arrange, close_pairs, interleave, room_for, shared_prompt_partners

ROWS = st.lists(
    st.tuples(st.booleans(), st.integers(0, 60), st.integers(0, 90), st.sampled_from("abc")), max_size=300
)  # (label, prompt, plan, reason)


def arranged(rows, gap=GAP):
    return interleave(rows, lambda r: r[0], lambda r: (("prompt", r[1]), ("plan", r[2])), lambda r: r[3], gap)


@settings(max_examples=150, deadline=None)
@given(ROWS)
def test_labels_alternate_from_true_and_kin_stay_apart(rows):
    ordered, unused = arranged(rows)
    assert [row[0] for row in ordered] == [place % 2 == 0 for place in range(len(ordered))]
    assert close_pairs(ordered, lambda r: (("prompt", r[1]), ("plan", r[2]))) == []
    assert Counter(ordered) + Counter(unused) == Counter(rows)


@settings(max_examples=100, deadline=None)
@given(ROWS)
def test_no_kl_partner_has_the_same_prompt(rows):
    ordered, _ = arranged(rows)
    assert shared_prompt_partners(ordered, lambda row: row[1]) == []


def test_rows_without_kin_are_all_used():
    rows = [(n % 2 == 0, n, n, "") for n in range(101)]
    ordered, unused = arranged(rows)
    assert len(ordered) == 101
    assert unused == []


def test_one_label_alone_is_left_over():
    ordered, unused = arranged([(True, n, n, "") for n in range(5)])
    assert len(ordered) == 1 and ordered[0][0]
    assert len(unused) == 4


def test_a_large_family_is_spread_over_the_whole_file():
    family = [(n % 2 == 0, 1, 1, "") for n in range(10)]
    others = [(n % 2 == 0, 10 + n, 10 + n, "") for n in range(400)]
    ordered, unused = arranged(family + others)
    places = [place for place, row in enumerate(ordered) if row[1] == 1]
    assert len(places) == 10 and unused == []
    assert min(b - a for a, b in zip(places, places[1:], strict=False)) > GAP


def test_reasons_are_spread_evenly():
    rows = [(True, n, n, "") for n in range(200)]
    rows += [(False, 1000 + n, 1000 + n, "rare" if n < 20 else "common") for n in range(200)]
    ordered, _ = arranged(rows)
    rare = [place for place, row in enumerate(ordered) if row[3] == "rare"]
    assert len(rare) == 20
    assert max(b - a for a, b in zip(rare, rare[1:], strict=False)) <= 60


def test_the_checks_see_a_planted_clash():
    rows = [(True, 1, 1, ""), (False, 1, 2, ""), (True, 3, 3, ""), (False, 4, 4, "")]
    assert close_pairs(rows, lambda r: (r[1],)) == [(0, 1)]
    assert (2, 0) in shared_prompt_partners(rows, lambda r: r[1])


def test_the_same_rows_give_the_same_order():
    rows = [(n % 3 == 0, n % 40, n % 70, "ab"[n % 2]) for n in range(240)]
    assert arranged(rows) == arranged(list(rows))


def test_a_surplus_is_dropped_evenly_when_no_reasons_are_given():
    labels = [n % 4 == 0 for n in range(400)]
    placed = set(arrange(labels, list(range(400))))
    dropped = [n for n in range(400) if n not in placed]
    assert len(dropped) == 200
    assert max(b - a for a, b in zip(dropped, dropped[1:], strict=False)) <= 4


def test_an_order_holds_what_the_labels_allow():
    assert room_for([True] * 5 + [False] * 2) == {True: 3, False: 2}
    assert room_for([True] * 2 + [False] * 5) == {True: 2, False: 2}
    assert room_for([]) == {True: 0, False: 0}


def test_a_huge_group_costs_little(monkeypatch):
    """Each row of a group that fills a thirtieth of the file is looked at a few times, not once a turn."""
    looks = 0
    real = heapq.heappush

    def counted(*args):
        nonlocal looks
        looks += 1
        real(*args)

    monkeypatch.setattr("lib.interleaving.heapq.heappush", counted)
    count = 6000
    groups = [0 if n % 34 < 1 else n for n in range(count)]
    order = arrange([n % 2 == 0 for n in range(count)], groups)
    assert len(order) > 0.9 * count
    assert looks < 3 * count
