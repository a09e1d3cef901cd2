"""The choice of negatives: families, kinds of answer and reasons by number, and nothing that gives the label away."""

from array import array
from collections import Counter
from dataclasses import replace
from random import Random

import pytest

from lib.synth.kto import CLOSELY_USED, RARE, Cuts, choose_negatives, is_decision, separation
from lib.synth.sketches import RATIOS, Fault, Measures, Sketch

FAMILIES = {"schema": 20, "world": 42, "process": 13, "decision": 17, "honesty": 8}
REASONS = {
    "schema": ("unknown-tool", "wrong-type"), "world": ("wrong-target", "wrong-flag", "incomplete"),
    "process": ("dropped-call", "repeated-call"), "decision": ("acts-instead-of-asking", "needless-question"),
    "honesty": ("false-claim", "claim-without-call"),
}  # fmt: skip
ANSWER_OF = {"needless-question": "ask", "claim-without-call": "direct"}


def measured(closing, calls, failing, rng):
    """Measures of an answer of that length, as the probe would see them."""
    errors, memory = int(rng.random() < failing), 40.0 * (calls > 0)
    looks = array("d", (closing, closing + 600 * calls, memory)).tobytes()
    return Measures(closing, closing + 600 * calls, calls, errors, memory, bool(errors), looks)


def positive(number, rng):
    kind = "ask" if number % 10 == 0 else "direct" if number % 25 == 1 else "act"
    calls = 0 if kind != "act" else rng.choice((1, 1, 1, 2, 3))
    closing = rng.randrange(20, 100)
    return Sketch(
        id=f"p{number:04d}", intent=f"intent{number % 9}", key=f"intent{number % 9}", number=number, kind=kind,
        tool=f"tool{number % 6}" if calls else "", tools=(), frame="", binding=str(number), world="w",
        request=f"request {number}", twin="", shape="single", answer_kind=kind if not calls else "call",
        measures=measured(closing, calls, 0.1, rng),
    )  # fmt: skip


def faults(positives, rng, longer=0):
    """Many mistakes of every positive, with closings up to `longer` characters longer than theirs."""
    made = []
    for source in positives:
        for family, reasons in REASONS.items():
            for place in range(4):
                reason = reasons[place % len(reasons)]
                answer = ANSWER_OF.get(reason, "call")
                calls = 0 if answer != "call" else rng.choice((1, 1, 2, 3))
                closing = rng.randrange(20, 100 + longer)
                measures = measured(closing, calls, 0.5, rng)
                made.append(Fault(f"n{len(made):05d}", source, family, reason, measures, answer))
    return made


@pytest.fixture(scope="module")
def chosen():
    rng = Random(5)
    positives = [positive(number, rng) for number in range(400)]
    others = [positive(number, rng) for number in range(400, 800)]
    pool = faults([*positives, *others], rng, longer=120)
    return positives, pool, *choose_negatives(pool, positives, 399, FAMILIES, 0.6)


def test_families_and_answers_have_their_numbers(chosen):
    positives, _, negatives, short = chosen
    assert short == [] and len(negatives) == 399
    families = Counter(item.family for item in negatives)
    for family, share in FAMILIES.items():
        assert abs(families[family] - 3.99 * share) <= 3
    kinds = Counter(item.answer_kind for item in negatives)
    for kind in ("call", "ask", "direct"):
        true = sum(item.answer_kind == kind for item in positives)
        assert 0.45 <= true / (true + kinds[kind]) <= 0.55


def test_reasons_are_spread_evenly_and_positives_used_sparingly(chosen):
    _, _, negatives, _ = chosen
    world = Counter(item.reason for item in negatives if item.family == "world")
    assert len(world) == 3 and max(world.values()) - min(world.values()) <= 1
    assert max(Counter(item.source.id for item in negatives).values()) <= CLOSELY_USED


def test_ways_of_one_mistake_come_up_less_often(chosen):
    positives, pool, _, _ = chosen
    renamed = [replace(item, reason="context-missing") if item.reason == "wrong-type" else item for item in pool]
    negatives, _ = choose_negatives(renamed, positives, 399, FAMILIES, 0.6)
    reasons = Counter(item.reason for item in negatives if item.family == "schema")
    assert abs(reasons["unknown-tool"] / reasons["context-missing"] - RARE["context-missing"]) <= 0.7


def test_about_the_wanted_share_answers_a_request_of_a_positive(chosen):
    positives, _, negatives, _ = chosen
    own = {item.id for item in positives}
    assert 0.55 <= sum(item.source.id in own for item in negatives) / len(negatives) <= 0.65


def test_labels_cannot_be_told_by_length_calls_or_errors(chosen):
    positives, pool, negatives, _ = chosen
    assert separation(positives, pool)["closing"] < 0.4, "the pool gives the label away by the length of its answers"
    for name, value in separation(positives, negatives).items():
        assert 0.45 <= value <= 0.55, name


def test_no_family_alone_is_told_by_length_either(chosen):
    positives, _, negatives, _ = chosen
    calling = [item for item in positives if item.answer_kind == "call"]
    for family in FAMILIES:
        own = [item for item in negatives if item.family == family and item.answer_kind == "call"]
        assert 0.42 <= separation(calling, own)["closing"] <= 0.58, family


def test_the_choice_does_not_depend_on_the_order_of_the_pool(chosen):
    positives, pool, negatives, _ = chosen
    assert choose_negatives(list(reversed(pool)), positives, 399, FAMILIES, 0.6)[0] == negatives


def test_a_family_that_runs_out_is_named_and_made_up_by_others(chosen):
    positives, pool, _, _ = chosen
    left = [item for item in pool if item.family != "process"]
    negatives, short = choose_negatives(left, positives, 399, FAMILIES, 0.6)
    assert "negatives process/call: 52 of 52 rows short" in short
    assert len(negatives) == 399


def test_schema_faults_are_matched_most_closely_by_tools_per_call():
    """A fault that is mended calls one tool twice, which would tell it from a good row."""
    rng = Random(2)
    width = 3 + len(RATIOS)

    def seen(first, tools_per_call):
        looks = array("d", [first] * (width - 1) + [tools_per_call]).tobytes()
        return Measures(50, 650, 2, 0, 40.0, False, looks)

    positives = [replace(positive(number, rng), measures=seen(number % 4, 1.0)) for number in range(2, 40)]
    positives = [replace(item, kind="act", answer_kind="call", tool="tool0") for item in positives]
    cuts = Cuts(positives)
    marks = [2 * len(own) for own in cuts.cuts]
    assert sum(cuts.weights("world")) == sum(marks)
    assert sum(cuts.weights("schema")) == sum(marks) + 3 * marks[-1]
    assert list(cuts.weights("schema")[-marks[-1] :]) == [4.0] * marks[-1]


def test_separation_is_one_for_labels_that_length_tells():
    rng = Random(1)
    positives = [positive(number, rng) for number in range(20)]
    longer = [Fault("n", item, "world", "x", Measures(900, 9000, 1, 0, 1.0), "call") for item in positives]
    assert separation(positives, longer)["closing"] == 0
    assert separation(positives, positives)["length"] == 0.5


def test_decision_rows_are_requests_or_mistakes_about_acting():
    assert is_decision("ask", "") and is_decision("act", "a-twin") and not is_decision("act", "")
    assert is_decision("act", "", "decision") and not is_decision("ask", "a-twin", "schema")
