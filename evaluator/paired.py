"""Two models on the same cases: is the difference more than noise, and which difference could be seen at all."""

import math
from collections.abc import Sequence
from fractions import Fraction

POWER = 0.8


def sign_flip_p(differences: Sequence[Fraction | int]) -> float:
    """The exact two-sided p of the sum, were the sign of each case's difference the toss of a coin.

    For differences of -1, 0 and 1 (one attempt at each case) this is McNemar's exact test; with several attempts a
    case's difference is that of two pass shares, and the cases stay the units.
    """
    import numpy as np

    scale = math.lcm(*(Fraction(difference).denominator for difference in differences))
    units = [int(difference * scale) for difference in differences if difference]
    total = sum(map(abs, units))
    chances = np.zeros(2 * total + 1)  # of each sum from -total to total
    chances[total] = 1.0
    for unit in units:
        # Sums stay inside the array, so nothing but zeros is rolled over its ends.
        chances = (np.roll(chances, unit) + np.roll(chances, -unit)) / 2
    return min(1.0, float(chances[np.abs(np.arange(-total, total + 1)) >= abs(sum(units))].sum()))


def smallest_difference(cases: int, churn: float, alpha: float = 0.05, power: float = POWER) -> int | None:
    """How many of the cases must change for better, net, for McNemar's exact test to see it with this power.

    churn: cases expected to change for worse all the same, and as many more for better. None: not even a change of
    all the others would be seen.
    """
    for difference in range(1, cases + 1):
        if difference + 2 * churn > cases:
            return None
        if power_of(cases, difference + churn, churn, alpha) >= power:
            return difference
    return None


def power_of(cases: int, better: float, worse: float, alpha: float) -> float:
    """The chance that McNemar's exact test has p <= alpha, when this many cases are expected to change each way."""
    import numpy as np
    from scipy.stats import binom

    changed = np.arange(cases + 1)
    # The fewest changes one way that are too many for a coin: two-sided p <= alpha.
    enough = binom.isf(alpha / 2, changed, 0.5) + 1
    share = better / (better + worse)
    seen = binom.sf(enough - 1, changed, share) + binom.cdf(changed - enough, changed, share)
    return float((binom.pmf(changed, cases, (better + worse) / cases) * seen).sum())
