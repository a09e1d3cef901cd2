"""lib/leak.py: what counts as shape, measures against second ways to compute them, and a probe that finds a leak."""

import json
import random
from dataclasses import replace

import numpy as np
import pytest

from lib import leak
from lib.chat import example_from_row, to_native_row
from lib.jsonl import read_rows
from lib.toolset import load_toolset
from tests import rows
from tests.rows import arguments, call_text

FIELDS = load_toolset().context_fields
WORDS = ["plan", "note", "garden", "trip", "old", "new", "folder", "draft", "weekly", "team", "list", "moved", "done"]


def said(rng, least, most):
    return " ".join(rng.choices(WORDS, k=rng.randint(least, most))) + "."


def made_up(count=240, seed=3, true_words=(4, 14), false_words=(4, 14)):
    """Examples of one call each, two to a request, whose closing words differ in length by label only as asked."""
    rng = random.Random(seed)
    found = []
    for number in range(count):
        label = number % 2 == 0
        context = rows.CONTEXT | {"sessionMemory": said(rng, 5, 12), "subgoal": said(rng, 2, 6)}
        given = {"context": context, "filePath": f"Garden/{said(rng, 1, 4)}md"}
        closing = said(rng, *(true_words if label else false_words))
        text = f"{call_text(args=given)}\n\n{closing}"
        found.append(example_from_row(rows.row(text, f"Request number {number // 2}", label=label))[0])
    return found


def with_longer_memories(examples):
    """Forty characters more in the sessionMemory of every true row."""
    found = []
    for example in examples:
        row = to_native_row(example)
        for message in row["messages"]:
            for call in message.get("tool_calls", ()) if example.label else ():
                given = json.loads(call["function"]["arguments"])
                given["context"]["sessionMemory"] += " and forty characters more, every time."
                call["function"]["arguments"] = json.dumps(given)
        found.append(example_from_row(row)[0])
    return found


# ---------------------------------------------------------------------------------------------- features


def test_shape_by_hand():
    text = f"First: look!\n\n{call_text()}\n\nIt says 12 things. Right?"
    shape = leak.shape(example_from_row(rows.row(text, "What is it?"))[0], FIELDS)
    wanted = {
        "calls": 1, "results": 1, "tools": 1, "call present": 1, "arguments": 1, "texts in arguments": 1,
        "request characters": 11, "words before the first call": 2, "closing words": 5, "sentences": 3,
        "question marks": 1, "digits in words": 2, "punctuation in words": 4, "capitals in words": 3,
        "line breaks in words": 1, "longest argument text": len("Garden/Plan.md"),
        "sessionMemory characters": len(rows.CONTEXT["sessionMemory"]), "sessionId characters": 31,
        "argument characters": len('{"filePath": "Garden/Plan.md"}'),
    }  # fmt: skip
    assert {name: shape[name] for name in wanted} == wanted


def test_an_answer_without_calls_has_a_shape_too():
    shape = leak.shape(example_from_row(rows.row("Which one?"))[0], FIELDS)
    assert shape["answer characters"] == 10 and shape["call present"] == 0 and shape["sessionMemory characters"] == 0


def test_neither_label_nor_form_nor_spacing_enters_the_features():
    plain = rows.row()
    given = arguments(filePath="Garden/Plan.md")
    spaced = call_text(args=json.dumps(given, separators=(",   ", " : "))).replace("\n\nResult", "\nResult")
    twins = [
        plain | {"label": False},
        {"conversations": plain["conversations"]},
        to_native_row(example_from_row(plain)[0]) | {"label": False},
        rows.row(f"{spaced}\n\nIt says: dig."),
    ]
    wanted = leak.shape(example_from_row(plain)[0], FIELDS)
    assert [leak.shape(example_from_row(twin)[0], FIELDS) for twin in twins] == [wanted] * len(twins)


def test_a_context_that_is_no_object_has_no_lengths():
    example = example_from_row(rows.row(call_text(args={"context": 5, "filePath": "a.md"})))[0]
    assert leak.shape(example, FIELDS)["sessionMemory characters"] == 0


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (f"{call_text()}\n\nWhich one?", "call"),
        ("Which of the two do you mean?", "ask"),
        ("Tell me the new name, then I rename it.", "ask"),
        ("I have no access to your bank.", "refuse"),
        ("I cannot send mail from here.", "refuse"),
        ("No tool can do that.", "refuse"),
        ("Paris is the capital of France.", "direct"),
    ],
)
def test_kinds_of_answers(text, kind):
    assert leak.answer_kind(example_from_row(rows.row(text))[0]) == kind


# ---------------------------------------------------------------------------------------------- measures


def test_auc_by_hand():
    # Of six pairs four are in order and one is tied.
    assert leak.auc([3, 2, 1, 2, 0], [True, True, False, False, True]) == pytest.approx(3.5 / 6)
    assert leak.auc([1, 2], [False, True]) == 1
    assert leak.auc([1, 2], [True, True]) == 0.5


@pytest.mark.parametrize("seed", range(3))
def test_auc_agrees_with_the_rank_sum_test(seed):
    from scipy.stats import mannwhitneyu

    rng = random.Random(seed)
    scores = [rng.randint(0, 9) for _ in range(80)]
    labels = [rng.random() < 0.4 for _ in range(80)]
    true = [score for score, label in zip(scores, labels, strict=True) if label]
    false = [score for score, label in zip(scores, labels, strict=True) if not label]
    assert leak.auc(scores, labels) == pytest.approx(mannwhitneyu(true, false).statistic / (len(true) * len(false)))


def test_a_weight_of_two_is_a_row_twice():
    scores, labels, weights = [1, 2, 3, 4], [True, False, True, False], [1, 2, 2, 1]
    doubled = [(s, label) for s, label, w in zip(scores, labels, weights, strict=True) for _ in range(w)]
    assert leak.auc(scores, labels, weights) == pytest.approx(leak.auc(*zip(*doubled, strict=True)))


def test_the_best_rule_agrees_with_trying_every_threshold():
    rng = random.Random(2)
    values = [rng.randint(0, 12) for _ in range(60)]
    labels = [rng.random() < 0.3 + 0.04 * value for value in values]

    def accuracy(threshold):
        true = [value > threshold for value, label in zip(values, labels, strict=True) if label]
        false = [value > threshold for value, label in zip(values, labels, strict=True) if not label]
        return max(
            (sum(true) / len(true) + 1 - sum(false) / len(false)) / 2 for true, false in ((true, false), (false, true))
        )

    best, threshold = leak.one_rule(values, labels)
    assert best == pytest.approx(max(accuracy(value) for value in range(-1, 13)))
    assert accuracy(threshold) == pytest.approx(best)


def test_the_fit_is_where_the_gradient_vanishes():
    rng = np.random.default_rng(1)
    x = rng.normal(size=(200, 3))
    y = rng.random(200) < 1 / (1 + np.exp(-(x @ [1.0, -2.0, 0.0] + 0.5)))
    weights = rng.random(200) + 0.5
    beta = leak.fit_logistic(x, y, weights)
    p = 1 / (1 + np.exp(-(x @ beta[:-1] + beta[-1])))
    gradient = x.T @ (weights * (y - p)) - leak.STRENGTH * beta[:-1]
    assert np.abs(gradient).max() < 1e-6
    assert beta[0] > 0.5 and beta[1] < -1


def test_rows_of_one_request_share_a_fold_and_folds_are_even():
    groups = [f"request {n % 50}" for n in range(200)]
    folds = leak.folds_by_group(groups)
    assert all(
        len({fold for fold, other in zip(folds, groups, strict=True) if other == group}) == 1 for group in groups
    )
    assert np.bincount(folds).tolist() == [40] * leak.FOLDS


# ------------------------------------------------------------------------------------------------- probe


def test_a_set_without_a_leak_stays_near_a_half():
    assert abs(leak.probe(leak.shapes_of(made_up(600), FIELDS)) - 0.5) < 0.08


def test_the_probe_fires_when_good_answers_are_longer():
    shapes = leak.shapes_of(made_up(true_words=(10, 25), false_words=(3, 12)), FIELDS)
    assert leak.probe(shapes) > 0.8
    assert leak.probe(shapes.features(leak.PLAIN)) > 0.8
    assert leak.best_rule(shapes)[0] > 0.8


def test_shuffled_labels_stay_near_a_half():
    shapes = leak.shapes_of(made_up(600, true_words=(10, 25), false_words=(3, 12)), FIELDS)
    labels = np.random.default_rng(4).permutation(shapes.labels)
    assert abs(leak.probe(replace(shapes, labels=labels)) - 0.5) < 0.08


def test_a_planted_leak_is_named():
    shapes = leak.shapes_of(with_longer_memories(made_up()), FIELDS)
    assert leak.probe(shapes) > 0.95
    assert next(iter(leak.feature_aucs(shapes))) == "sessionMemory characters"
    assert leak.telling(shapes)[0][0] == "sessionMemory characters"
    assert leak.best_rule(shapes)[1].startswith("sessionMemory characters above ")


def test_the_probe_does_not_learn_requests_by_heart():
    """Labels that hang on the request alone: known requests would give them away, unknown ones cannot."""
    examples = made_up(400)
    rng = random.Random(1)
    by_request = {leak.request_of(example): rng.random() < 0.5 for example in examples}
    examples = [replace(example, label=by_request[leak.request_of(example)]) for example in examples]
    assert abs(leak.probe(leak.shapes_of(examples, FIELDS)) - 0.5) < 0.12


def test_kinds_of_answers_are_weighed_alike():
    texts = [("Which?", False)] * 6 + [("Which?", True)] * 2 + [(call_text(), False)] * 2 + [(call_text(), True)] * 6
    examples = [example_from_row(rows.row(text, f"r{n}", label=label))[0] for n, (text, label) in enumerate(texts)]
    shapes = leak.shapes_of(examples, FIELDS)
    weights = leak.like_kinds(shapes)
    assert leak.auc(shapes.column("call present"), shapes.labels) == 0.75
    assert leak.auc(shapes.column("call present"), shapes.labels, weights) == pytest.approx(0.5)
    assert leak.true_by_kind(shapes) == {"call": (8, 6), "ask": (8, 2)}


def test_features_that_the_toolset_has_not_are_left_out():
    shapes = leak.shapes_of(made_up(20))
    assert "sessionMemory characters" not in shapes.features(leak.PLAIN).names


def test_the_probe_fires_on_real_data_with_a_known_leak(root):
    path = root.parent / "shared/data/syngen_toolset_v1.0.1_copilot.jsonl"
    if not path.is_file():
        pytest.skip("the file is not beside this checkout")
    shapes = leak.shapes_of([example_from_row(row)[0] for _, row in read_rows(path)], FIELDS)
    assert leak.probe(shapes) > 0.9
    assert leak.probe(shapes.features(leak.PLAIN)) > 0.8
    labels = np.random.default_rng(4).permutation(shapes.labels)
    assert abs(leak.probe(replace(shapes, labels=labels)) - 0.5) < 0.05
