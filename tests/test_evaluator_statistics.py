"""Intervals, pass@k, pass^k and the paired test: hand-worked values, scipy's own functions, and simulated runs."""

from fractions import Fraction
from itertools import product

import numpy as np
import pytest
from scipy.stats import binom, binomtest

from evaluator.paired import power_of, sign_flip_p, smallest_difference
from evaluator.statistics import clustered, pass_all, pass_at, rate_over, repeated, summarize, wilson


def attempts(case, outcomes, tags=("t",), tools=("a_b",)):
    """Records of one case: p passes, f fails, i gets no answer."""
    names = {"p": "pass", "f": "model_fail", "i": "infra"}
    return [
        {
            "id": case,
            "attempt": number,
            "set": "s",
            "tags": list(tags),
            "tools": list(tools),
            "outcome": names[letter],
            "right_tool": letter == "p",
            "valid_call": letter == "p",
            "findings": [],
            "steps": [],
            "seconds": 1.0,
        }
        for number, letter in enumerate(outcomes, start=1)
    ]


# ---------------------------------------------------------------- one rate


@pytest.mark.parametrize("confidence", [0.8, 0.95, 0.99])
@pytest.mark.parametrize("trials", [1, 7, 47, 188])
def test_wilson_is_scipys(trials, confidence):
    for successes in {0, 1, trials // 3, trials - 1, trials}:
        interval = binomtest(successes, trials).proportion_ci(confidence, method="wilson")
        assert wilson(successes, trials, confidence) == pytest.approx((interval.low, interval.high), abs=1e-12)


def test_one_attempt_a_case_is_plain_wilson():
    records = [record for case in range(10) for record in attempts(case, "p" if case < 8 else "f")]
    found = rate_over(records, lambda record: record["outcome"] == "pass")
    assert (found["low"], found["high"]) == wilson(8, 10)


def test_attempts_that_always_agree_count_once():
    assert clustered([4] * 8 + [0] * 2, [4] * 10, most=40) == pytest.approx(wilson(8, 10))


def test_attempts_that_never_fail_count_once():
    assert clustered([4] * 10, [4] * 10, most=40) == wilson(10, 10)


def test_attempts_at_many_like_cases_count_each():
    """Every case passes about half its tries: the cases do not differ more than chance would have them."""
    low, high = clustered([2, 3, 1, 2] * 25, [4] * 100, most=400)
    assert (low, high) == pytest.approx(wilson(200, 400), abs=1e-12)


def test_two_cases_are_never_taken_for_more():
    """With two clusters Student's t leaves no confidence in how alike they are."""
    assert clustered([2, 3], [4, 4], most=8) == pytest.approx(wilson(2 * 5 / 8, 2))


@pytest.mark.parametrize("alike", [0.5, 2.0])
def test_interval_over_repeats_covers_the_truth(alike):
    """Cases of different difficulty (beta), four attempts each: plain Wilson on attempts covers too seldom."""
    dice, truth, cases, tries, runs = np.random.default_rng(5), 0.7, 47, 4, 600
    chances = dice.beta(alike * truth, alike * (1 - truth), (runs, cases))
    passed = dice.binomial(tries, chances)

    def covered(interval):
        return sum(low <= truth <= high for low, high in map(interval, passed)) / runs

    assert 0.92 <= covered(lambda row: clustered(row.tolist(), [tries] * cases, most=cases * tries)) <= 0.99
    assert covered(lambda row: wilson(int(row.sum()), cases * tries)) < 0.9


# ---------------------------------------------------------------- several attempts


def test_estimators_worked_by_hand():
    # Of 5 attempts 2 pass; of the 10 pairs 3 hold no pass and 1 holds only passes.
    assert pass_at(5, 2, 2) == pytest.approx(1 - 3 / 10)
    assert pass_all(5, 2, 2) == pytest.approx(1 / 10)
    assert pass_at(5, 2, 1) == pass_all(5, 2, 1) == pytest.approx(2 / 5)
    assert (pass_at(5, 2, 4), pass_all(5, 2, 3)) == (1, 0)


@pytest.mark.parametrize("chance", [0.2, 0.7])
def test_estimators_are_unbiased(chance):
    """The mean over all outcomes of five attempts is what k fresh attempts would do."""
    weights = [(passed, binom.pmf(passed, 5, chance)) for passed in range(6)]
    for k in range(1, 6):
        assert sum(w * pass_at(5, c, k) for c, w in weights) == pytest.approx(1 - (1 - chance) ** k)
        assert sum(w * pass_all(5, c, k) for c, w in weights) == pytest.approx(chance**k)


def test_summary_of_repeats():
    records = attempts("a", "pp") + attempts("b", "pf") + attempts("c", "fi")
    summary = summarize(records)
    assert (summary["cases"], summary["attempts"]) == (3, 6)
    assert (summary["pass"]["passed"], summary["pass"]["of"]) == (3, 5)
    two = {name: values["2"] for name, values in summary["repeats"].items()}
    assert (two["pass@k"]["cases"], two["pass@k"]["value"], two["pass^k"]["value"]) == (2, 1.0, 0.5)
    assert summary["repeats"]["pass@k"]["1"]["value"] == pytest.approx((1 + 0.5 + 0) / 3)
    assert summary["by_tag"]["t"]["of"] == 5 and summary["by_set"]["s"]["of"] == 5
    assert "repeats" not in summarize(attempts("a", "p"))


def test_nothing_counted_has_no_estimates():
    assert repeated([]) == {"pass@k": {}, "pass^k": {}}


# ---------------------------------------------------------------- two models


@pytest.mark.parametrize(
    "better, worse, p",
    [(6, 0, 0.03125), (5, 0, 0.0625), (8, 1, 0.0390625), (8, 2, 0.109375), (3, 1, 0.625), (0, 0, 1), (4, 4, 1)],
)
def test_paired_p_as_tabulated(better, worse, p):
    assert sign_flip_p([1] * better + [-1] * worse + [0] * 30) == pytest.approx(p)
    assert sign_flip_p([-1] * better + [1] * worse) == pytest.approx(p)


def test_paired_p_is_scipys_for_single_attempts():
    for better, worse in product(range(0, 14, 3), range(1, 14, 4)):
        exact = binomtest(better, better + worse, 0.5).pvalue
        assert sign_flip_p([1] * better + [-1] * worse) == pytest.approx(exact)


def test_paired_p_of_shares_worked_by_hand():
    """Shares of 1/2, 1/3 and 1: of the eight sign patterns only +++ and --- reach a sum of 11/6."""
    assert sign_flip_p([Fraction(1, 2), Fraction(1, 3), Fraction(1)]) == pytest.approx(2 / 8)
    assert sign_flip_p([Fraction(1, 2), Fraction(-1, 3), Fraction(1)]) == pytest.approx(4 / 8)


def test_two_runs_of_one_model_seldom_raise_an_alarm():
    dice = np.random.default_rng(3)
    chances = dice.beta(1, 1, (1000, 47))
    one, other = dice.random((1000, 47)) < chances, dice.random((1000, 47)) < chances
    alarms = sum(sign_flip_p((b.astype(int) - a.astype(int)).tolist()) <= 0.05 for a, b in zip(one, other, strict=True))
    assert 0 < alarms <= 50


def test_repeats_do_not_raise_more_alarms():
    dice = np.random.default_rng(4)
    chances = dice.beta(1, 1, (1000, 47))
    gaps = dice.binomial(4, chances) - dice.binomial(4, chances)
    alarms = sum(sign_flip_p([Fraction(int(gap), 4) for gap in row]) <= 0.05 for row in gaps)
    assert 0 < alarms <= 65  # 5 % of 1000, and twice the standard error of such a count


def test_power_is_what_simulated_comparisons_have():
    dice = np.random.default_rng(6)
    flips = dice.multinomial(47, [9 / 47, 2 / 47, 36 / 47], 2000)
    seen = np.mean([binomtest(int(b), int(b + w), 0.5).pvalue <= 0.05 if b + w else False for b, w, _ in flips])
    assert power_of(47, 9, 2, 0.05) == pytest.approx(seen, abs=0.03)


def test_smallest_difference_is_the_first_with_that_power():
    for churn in (0, 1, 3):
        found = smallest_difference(47, churn)
        assert power_of(47, found + churn, churn, 0.05) >= 0.8 > power_of(47, found - 1 + churn, churn, 0.05)
    assert smallest_difference(47, 0) < smallest_difference(47, 3) < smallest_difference(47, 10)


def test_five_cases_show_nothing():
    assert smallest_difference(5, 0) is None  # 5:0 has p = .0625
    assert smallest_difference(6, 0) == 6
