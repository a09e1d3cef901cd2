"""lib/kto_advice.py: the published ranges, applied to label counts."""

import pytest

from lib.config import load_config, load_size
from lib.kto_advice import BETAS, LEARNING_RATES, WEIGHT_RANGES, advise, remarks, sentences, weight_range


def test_the_papers_own_example():
    """One desirable row for ten undesirable ones: weights 10 to 15 and 1."""
    found = weight_range(100, 1000, *WEIGHT_RANGES["paper"])
    assert found == {"desirable_weight": [10, 15], "undesirable_weight": [1, 1]}


@pytest.mark.parametrize(("true", "false"), [(1, 1), (4, 3), (3, 2), (9, 1), (1, 9), (360, 427), (2325, 2324)])
@pytest.mark.parametrize("source", WEIGHT_RANGES)
def test_weights_bring_the_ratio_into_the_range_and_one_of_them_is_one(true, false, source):
    low, high = WEIGHT_RANGES[source]
    found = weight_range(true, false, low, high)
    good, bad = found["desirable_weight"], found["undesirable_weight"]
    assert [1, 1] in (good, bad)
    for ratio in (good[0] * true / (bad[1] * false), good[1] * true / (bad[0] * false)):
        assert low - 1e-9 <= ratio <= high + 1e-9


@pytest.mark.parametrize(("true", "false"), [(1, 9), (9, 1), (360, 427), (100, 70)])
def test_the_suggested_pair_suits_both_sources(true, false):
    pair = advise(true, false)["suggested"]
    ratio = pair["desirable_weight"] * true / (pair["undesirable_weight"] * false)
    assert all(low <= ratio <= high for low, high in WEIGHT_RANGES.values())


def test_the_rarer_label_gets_the_weight():
    assert advise(1, 9)["suggested"]["desirable_weight"] > 5
    assert advise(9, 1)["suggested"]["undesirable_weight"] > 5
    assert advise(10, 10)["suggested"] == {"desirable_weight": 1, "undesirable_weight": 1}


def test_the_figures_are_those_of_the_sources():
    assert WEIGHT_RANGES == {"paper": (1, 1.5), "TRL": (1, 4 / 3)}
    assert LEARNING_RATES["TRL"] == [5e-7, 5e-6] and LEARNING_RATES["paper's start"] == [5e-6, 5e-6]
    assert BETAS["fine-tuned on the same data"] == [0.01, 0.1]


def test_one_label_alone_gets_no_weights():
    assert advise(0, 5)["weights"] is None
    assert len(sentences(0, 5)) == 1


def remarked(true, false, **weights):
    return remarks(true, false, load_config("kto", load_size("7b", "cuda", "kto"), weights)[0])


@pytest.mark.parametrize(("true", "false"), [(2325, 2324), (2324, 2325), (100, 100), (130, 100)])
def test_weights_inside_both_ranges_are_not_remarked_on(true, false):
    assert remarked(true, false) == []


def test_each_range_that_is_missed_is_named_with_a_way_into_all():
    assert "outside of TRL's 1 to 1.33. --desirable" in remarked(140, 100)[0]
    (said,) = remarked(100, 100, undesirable_weight=3.0)
    assert "rows is 0.33, outside of paper's 1 to 1.5 and TRL's 1 to 1.33. --desirable-weight 1 --unde" in said
    (said,) = remarked(100, 400)
    advised = dict(zip(*[iter(said.split("TRL's 1 to 1.33. ")[1].split())] * 2, strict=False))
    assert remarked(100, 400, desirable_weight=float(advised["--desirable-weight"])) == []
    assert remarked(0, 5) == sentences(0, 5)
