"""What is published about KTO's settings, applied to the labels of a file.

Label weights: the paper (arXiv 2402.01306, equation 9) wants weight * rows of the desirable kind over weight * rows of
the undesirable kind between 1 and 3/2; TRL's documentation of KTOTrainer, and the warning in its code, between 1 and
4/3, as an earlier version of the paper did. What suits TRL suits both. The rarer label gets more weight, the other
keeps 1. Learning rate: TRL's documentation says 5e-7 to 5e-6 whatever the size of the data, with beta .1 at most 1e-6
for most models, and less with a smaller beta; the paper starts at 5e-6. Beta (paper): .1 in most cases, .01 to .1 when
the model was fine-tuned on the same data before, .1 to .5 when the reference is aligned already.
"""

import math

from lib.config import PUBLISHED_KTO_LEARNING_RATES

WEIGHT_RANGES = {"paper": (1.0, 3 / 2), "TRL": (1.0, 4 / 3)}
LEARNING_RATES = {
    "TRL": list(PUBLISHED_KTO_LEARNING_RATES),
    "TRL, most models with beta .1": [PUBLISHED_KTO_LEARNING_RATES[0], 1e-6],
    "paper's start": [5e-6, 5e-6],
}
BETAS = {"most cases": [0.1, 0.1], "fine-tuned on the same data": [0.01, 0.1], "reference aligned already": [0.1, 0.5]}


def weight_range(true: int, false: int, low: float, high: float) -> dict[str, list[float]]:
    """{"desirable_weight": [least, most], "undesirable_weight": ...} that bring the ratio between low and high.

    One of them is [1, 1]; both are when the labels' own ratio lies in the range.
    """
    same = [1.0, 1.0]
    if true < low * false:
        return {"desirable_weight": [low * false / true, high * false / true], "undesirable_weight": same}
    if true > high * false:
        return {"desirable_weight": same, "undesirable_weight": [true / (high * false), true / (low * false)]}
    return {"desirable_weight": same, "undesirable_weight": same}


def advise(true: int, false: int) -> dict:
    """Ratio of the labels, weights by source, and one pair of weights inside every range; None where a label lacks."""
    if not true or not false:
        return {"ratio": None, "weights": None, "suggested": None, "learning_rate": LEARNING_RATES, "beta": BETAS}
    weights = {source: weight_range(true, false, *limits) for source, limits in WEIGHT_RANGES.items()}
    return {
        "ratio": true / false,
        "weights": weights,
        "suggested": {name: middle(*weights["TRL"][name]) for name in ("desirable_weight", "undesirable_weight")},
        "learning_rate": LEARNING_RATES,
        "beta": BETAS,
    }


def remarks(true: int, false: int, config) -> list[str]:
    """A sentence where the recipe's label weights miss a published range with so many rows of each label, else nothing.

    The weighted ratio is taken to two digits behind the point: a row more of one label is no fault.
    """
    if not true or not false:
        return sentences(true, false)
    ratio = round(config.desirable_weight * true / (config.undesirable_weight * false), 2)
    missed = {source: limits for source, limits in WEIGHT_RANGES.items() if not limits[0] <= ratio <= limits[1]}
    if not missed:
        return []
    wanted = " and ".join(f"{source}'s {span(*limits)}" for source, limits in missed.items())
    advised = advise(true, false)["suggested"]
    flags = " ".join(f"--{name.replace('_', '-')} {value:g}" for name, value in advised.items())
    return [
        f"desirable_weight * {true} true rows over undesirable_weight * {false} false rows is {ratio:g}, outside of "
        f"{wanted}. {flags} suits every source."
    ]


def middle(least: float, most: float) -> float:
    """A number between the two with three digits, or 1 when both are 1."""
    return float(f"{math.sqrt(least * most):.3g}")


def sentences(true: int, false: int) -> list[str]:
    """The advice for people, a line each."""
    advice = advise(true, false)
    if advice["ratio"] is None:
        return ["KTO needs rows of both labels; no weight makes up for a missing one."]
    lines = [f"advice for {true} true and {false} false (ratio {advice['ratio']:.3g}):"]
    for source, (low, high) in WEIGHT_RANGES.items():
        weights = advice["weights"][source]
        said = ", ".join(f"{name} {span(*weights[name])}" for name in weights)
        lines.append(f"  weights, {source} (weighted ratio {low:g} to {high:.3g}): {said}")
    lines.append(
        "  one pair for both: " + ", ".join(f"{name} {value:g}" for name, value in advice["suggested"].items())
    )
    for what, table in (("learning rate", LEARNING_RATES), ("beta", BETAS)):
        lines.append(f"  {what}: " + "; ".join(f"{span(*limits)} ({case})" for case, limits in table.items()))
    return lines


def span(least: float, most: float) -> str:
    """1, or 1.2 to 1.6."""
    return f"{least:.3g}" if f"{least:.3g}" == f"{most:.3g}" else f"{least:.3g} to {most:.3g}"
