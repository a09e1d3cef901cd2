"""Labels read off the shape of a text: a logistic probe on lengths and counts, and the features that give a label away.

Features come from the words, calls and results of an example alone: never from its label, its row or its layout.
"""

import random
import re
from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from lib.chat import Call, Example, Result, Text, dump_arguments
from lib.diversity import normal
from lib.synth.plans import texts_given
from lib.toolset import without_context

FOLDS = 5
STRENGTH = 1.0  # of the ridge that holds the probe's weights down
CAPITAL = re.compile(r"[^\W\d_a-z]")
PUNCTUATION = re.compile(r"[^\w\s]")
ASKING = re.compile(
    r"[?]|\b(?:tell me|let me know|(?:as soon as|once) i know|i need (?:an?|the|to know)|please give)\b"
)
REFUSAL = re.compile(
    r"\b(?:can(?:no|')t|could not|unable|not able|not possible|impossible|isn't|won't|don't have|do not have|beyond|"
    r"there is no|no (?:tool|way|such|command|means|access|connection|say|power|permission)|nothing (?:here|in)|"
    r"out of (?:my )?reach|not something|outside|lack|none of|only (?:work|talk|read)|must leave|does not reach)\b"
)
# The probe that was measured on upstream's files; with these it comes out within .01 of what was measured there.
PLAIN = ("answer characters", "calls", "call present", "sessionMemory characters", "question marks")
SHOWN = ("results", "result characters", "answer characters")  # features that also count what tools returned
KINDS = ("call", "ask", "refuse", "direct")


def answer_parts(example: Example) -> list:
    """Words, calls and results of the assistant, in order."""
    return [part for turn in example.turns if turn.role == "assistant" for part in turn.parts]


def request_of(example: Example) -> str:
    """What the user said, all turns together."""
    return "\n".join(turn.text for turn in example.turns if turn.role == "user")


def answer_kind(example: Example) -> str:
    """call, ask, refuse or direct: what a reader would say that the answer does."""
    parts = answer_parts(example)
    if any(isinstance(part, Call) for part in parts):
        return "call"
    return kind_of_words(" ".join(part.text for part in parts if isinstance(part, Text)))


def kind_of_words(words: str) -> str:
    """ask, refuse or direct: what a reader would say that words without a call do."""
    words = words.lower().replace("’", "'")
    return "ask" if ASKING.search(words) else "refuse" if REFUSAL.search(words) else "direct"


def context_length(call: Call, name: str) -> int:
    """Characters of one context field of a call; 0 when it is absent or no text."""
    context = call.arguments.get("context")
    value = context.get(name) if isinstance(context, dict) else None
    return len(value) if isinstance(value, str) else 0


def shape(example: Example, context_fields: Sequence[str] = ()) -> dict[str, float]:
    """The shape of an answer: name -> length, count or mean over its calls."""
    parts = answer_parts(example)
    calls = [part for part in parts if isinstance(part, Call)]
    results = [part for part in parts if isinstance(part, Result)]
    last_call = max((place for place, part in enumerate(parts) if isinstance(part, Call)), default=-1)
    words = "\n".join(part.text for part in parts if isinstance(part, Text))
    own = [without_context(call.arguments) for call in calls]
    written = [dump_arguments(arguments) for arguments in own]
    shown = [dump_arguments(result.content) for result in results]
    texts = texts_given(calls)
    each = max(1, len(calls))
    found = {
        "answer characters": len(words)
        + sum(len(call.name) + len(dump_arguments(call.arguments)) for call in calls)
        + sum(map(len, shown)),
        "request characters": len(request_of(example)),
        "call present": bool(calls),
        "calls": len(calls),
        "results": len(results),
        "tools": len({call.name for call in calls}),
        "tool name characters": sum(len(call.name) for call in calls) / each,
        "argument characters": sum(map(len, written)) / each,
        "arguments": sum(map(len, own)) / each,
        "texts in arguments": len(texts) / each,
        "longest argument text": max(map(len, texts), default=0),
        "digits in arguments": count(str.isdigit, written) / each,
        "result characters": sum(map(len, shown)) / max(1, len(shown)),
        "words before the first call": sum(
            len(part.text.split()) for part in parts[: last_call + 1] if isinstance(part, Text)
        ),
        "closing words": sum(len(part.text.split()) for part in parts[last_call + 1 :] if isinstance(part, Text)),
        "characters of words": len(words),
        "sentences": len(re.findall(r"[.!?](?:\s|$)", words)),
        "question marks": words.count("?"),
        "digits in words": count(str.isdigit, words),
        "punctuation in words": len(PUNCTUATION.findall(words)),
        "capitals in words": len(CAPITAL.findall(words)),
        "line breaks in words": words.count("\n"),
    }
    for name in context_fields:
        found[f"{name} characters"] = sum(context_length(call, name) for call in calls) / each
    return found


def count(holds, texts: Iterable[str]) -> int:
    """How many characters of the texts a test holds for."""
    return sum(map(holds, "".join(texts)))


@dataclass(frozen=True)
class Shapes:
    """Rows as a probe sees them: one line of the table for each row, one column for each named feature."""

    names: tuple[str, ...]
    table: np.ndarray
    labels: np.ndarray
    groups: tuple[str, ...]  # the request of each row: rows of one request are never learnt from and tested on
    kinds: tuple[str, ...]  # answer_kind of each row

    def column(self, name: str) -> np.ndarray:
        return self.table[:, self.names.index(name)]

    def features(self, names: Sequence[str]) -> "Shapes":
        """The same rows with these features alone, as far as they are measured."""
        names = [name for name in names if name in self.names]
        return replace(self, names=tuple(names), table=self.table[:, [self.names.index(name) for name in names]])

    def only(self, rows: np.ndarray) -> "Shapes":
        """The chosen rows."""
        chosen = np.flatnonzero(rows)
        groups, kinds = (tuple(values[row] for row in chosen) for values in (self.groups, self.kinds))
        return Shapes(self.names, self.table[chosen], self.labels[chosen], groups, kinds)


def shapes_of(examples: Sequence[Example], context_fields: Sequence[str] = ()) -> Shapes:
    """The shapes of labelled examples."""
    found = [shape(example, context_fields) for example in examples]
    names = tuple(found[0]) if found else ()
    table = np.array([[row[name] for name in names] for row in found], float)
    groups = tuple(normal(request_of(example)) for example in examples)
    labels = np.array([example.label is True for example in examples])
    return Shapes(names, table, labels, groups, tuple(map(answer_kind, examples)))


# ---------------------------------------------------------------------------------------------- measures


def auc(scores, labels, weights=None) -> float:
    """The chance that a true row scores above a false one, ties half; .5 when either label is missing."""
    scores, labels = np.asarray(scores, float), np.asarray(labels, bool)
    weights = np.ones(len(scores)) if weights is None else np.asarray(weights, float)
    _, places = np.unique(scores, return_inverse=True)
    size = int(places.max(initial=-1)) + 1
    true = np.bincount(places[labels], weights[labels], size)
    false = np.bincount(places[~labels], weights[~labels], size)
    if not true.sum() or not false.sum():
        return 0.5
    below = np.cumsum(false) - false
    return float((true * (below + false / 2)).sum() / (true.sum() * false.sum()))


def one_rule(values, labels) -> tuple[float, float]:
    """(accuracy, threshold) of the best rule `value > threshold` in either direction, both labels counting half."""
    values, labels = np.asarray(values, float), np.asarray(labels, bool)
    levels, places = np.unique(values, return_inverse=True)
    true = np.cumsum(np.bincount(places[labels], minlength=len(levels))) / max(1, labels.sum())
    false = np.cumsum(np.bincount(places[~labels], minlength=len(levels))) / max(1, (~labels).sum())
    gaps = np.abs(true - false)
    best = int(gaps.argmax())
    return float((1 + gaps[best]) / 2), float(levels[best])


def folds_by_group(groups: Sequence[Hashable], seed: int = 0) -> np.ndarray:
    """A fold number for each row, rows of one group in one fold."""
    names = sorted(set(groups), key=str)
    random.Random(f"folds:{seed}").shuffle(names)
    number = {name: place % FOLDS for place, name in enumerate(names)}
    return np.array([number[group] for group in groups])


def design(table: np.ndarray) -> np.ndarray:
    """Lengths and counts on a scale that a linear probe can use: logarithms, as counts are skewed."""
    return np.log1p(np.maximum(table, 0))


def fit_logistic(x: np.ndarray, y: np.ndarray, weights: np.ndarray, steps: int = 12) -> np.ndarray:
    """Weights of a ridge logistic regression by Newton's method, the last one the intercept."""
    x = np.column_stack([x, np.ones(len(x))])
    ridge = np.full(x.shape[1], STRENGTH)
    ridge[-1] = 1e-6
    beta = np.zeros(x.shape[1])
    for _ in range(steps):
        p = 1 / (1 + np.exp(-np.clip(x @ beta, -30, 30)))
        gradient = x.T @ (weights * (y - p)) - ridge * beta
        hessian = (x * (weights * p * (1 - p))[:, None]).T @ x + np.diag(ridge)
        beta += np.linalg.solve(hessian, gradient)
    return beta


def probe(shapes: Shapes, weights=None) -> float:
    """AUC of a logistic probe on rows it has not seen: the mean over FOLDS, rows of one request never on both sides."""
    labels = shapes.labels
    weights = np.ones(len(labels)) if weights is None else weights
    x, folds, found = design(shapes.table), folds_by_group(shapes.groups), []
    for fold in range(FOLDS):
        test = folds == fold
        train = ~test
        if len(set(labels[test])) < 2 or len(set(labels[train])) < 2:
            continue
        mean, spread = x[train].mean(0), x[train].std(0)
        spread[spread == 0] = 1
        scaled = (x - mean) / spread
        beta = fit_logistic(scaled[train], labels[train], weights[train])
        found.append(auc(scaled[test] @ beta[:-1], labels[test], weights[test]))
    return float(np.mean(found)) if found else 0.5


def like_kinds(shapes: Shapes) -> np.ndarray:
    """Weights that give the true rows the false rows' mix of answer kinds, so that kind alone tells nothing."""
    true, false = Counter(), Counter()
    for kind, label in zip(shapes.kinds, shapes.labels, strict=True):
        (true if label else false)[kind] += 1
    pairs = zip(shapes.kinds, shapes.labels, strict=True)
    return np.array([false[kind] / true[kind] if label else float(bool(true[kind])) for kind, label in pairs])


def feature_aucs(shapes: Shapes, weights=None) -> dict[str, float]:
    """Each feature's own AUC, the most telling first: above .5 where true rows have more of it."""
    found = {name: auc(shapes.column(name), shapes.labels, weights) for name in shapes.names}
    return dict(sorted(found.items(), key=lambda item: -abs(item[1] - 0.5)))


def telling(shapes: Shapes, weights=None, most: int = 6) -> list[tuple[str, float]]:
    """(feature, AUC of the probe with it and those before it): each the one that helps the probe most."""
    chosen, found = [], []
    while len(chosen) < min(most, len(shapes.names)):
        left = [name for name in shapes.names if name not in chosen]
        tried = {name: probe(shapes.features([*chosen, name]), weights) for name in left}
        best = max(left, key=lambda name: tried[name])
        if found and tried[best] <= found[-1][1]:
            break
        chosen.append(best)
        found.append((best, tried[best]))
    return found


def best_rule(shapes: Shapes) -> tuple[float, str]:
    """(accuracy, rule in words) of the best rule on one feature."""
    best = (0.5, "none")
    for name in shapes.names:
        accuracy, threshold = one_rule(shapes.column(name), shapes.labels)
        if accuracy > best[0]:
            best = (accuracy, f"{name} above {threshold:g}")
    return best


def true_by_kind(shapes: Shapes) -> dict[str, tuple[int, int]]:
    """For each kind of answer (rows, true rows)."""
    rows = Counter(shapes.kinds)
    true = Counter(kind for kind, label in zip(shapes.kinds, shapes.labels, strict=True) if label)
    return {kind: (rows[kind], true[kind]) for kind in KINDS if rows[kind]}
