"""lib/diversity.py: each measure against a case worked by hand or a second, slower way to compute it."""

import math
import random
from collections import Counter

import pytest

from lib import diversity
from lib.diversity import opening, phrasing, quantile, skeleton, words_of
from lib.overlap import jaccard, ngrams

WORDS = ["move", "copy", "the", "a", "note", "plan", "garden", "to", "into", "trip", "list", "old", "new", "folder"]


def made_up(count=60, seed=5):
    rng = random.Random(seed)
    return [" ".join(rng.choices(WORDS, k=rng.randint(1, 9))) for _ in range(count)]


def test_words_keep_apostrophes_and_lose_case():
    assert words_of("Don't touch Plan.md!") == ["don't", "touch", "plan", "md"]


def test_texts_that_differ_in_case_punctuation_and_spacing_are_the_same():
    assert diversity.normal("List  all workspaces!") == diversity.normal("list all workspaces")
    assert diversity.normal(" ?! ") == "?!"


def test_a_sample_is_the_same_every_time_and_never_larger_than_what_there_is():
    texts = made_up(50)
    assert diversity.sample(texts, 10) == diversity.sample(texts, 10)
    assert diversity.sample(texts, 10, 1) != diversity.sample(texts, 10, 2)
    assert diversity.sample(texts, 80) == texts


def test_near_duplicates_agree_with_comparing_every_pair():
    texts = made_up()
    found = diversity.near_duplicates(texts)
    for here, item in enumerate(found):
        scores = [jaccard(ngrams(texts[here]), ngrams(other)) for n, other in enumerate(texts) if n != here]
        assert item.likeness == pytest.approx(max(scores))
        if item.other >= 0:
            assert jaccard(ngrams(texts[here]), ngrams(texts[item.other])) == pytest.approx(item.likeness)


def test_near_duplicates_by_hand():
    # Runs of three words: {abc, bcd, cde} and {abc, bcd, cdf} share two of four.
    found = diversity.near_duplicates(["a b c d e", "a b c d f", "x y z"])
    assert [(item.other, item.likeness) for item in found] == [(1, 0.5), (0, 0.5), (-1, 0.0)]


def test_tfidf_neighbours_agree_with_comparing_every_pair():
    texts = made_up(40)
    frequency = Counter(word for text in texts for word in set(words_of(text)))

    def vector(text):
        return {
            word: count * (1 + math.log((1 + len(texts)) / (1 + frequency[word])))
            for word, count in Counter(words_of(text)).items()
        }

    def cosine(left, right):
        product = sum(weight * right.get(word, 0) for word, weight in left.items())
        return product / math.sqrt(sum(w * w for w in left.values()) * sum(w * w for w in right.values()))

    vectors = [vector(text) for text in texts]
    for here, item in enumerate(diversity.nearest_by_tfidf(texts)):
        best = max(cosine(vectors[here], other) for n, other in enumerate(vectors) if n != here)
        assert item.likeness == pytest.approx(best)


def test_tfidf_neighbours_of_strangers_and_of_one_text():
    assert [item.other for item in diversity.nearest_by_tfidf(["a b", "c d"])] == [-1, -1]
    assert diversity.nearest_by_tfidf(["a b"])[0].likeness == 0


def test_distinct_runs_by_hand():
    # a-b twice and b-a once: two different runs of three.
    assert diversity.distinct(["a b a b"], 2) == pytest.approx(2 / 3)
    assert diversity.distinct(["a b", "a b"], 2) == 0.5
    assert diversity.distinct(["a"], 2) == 0


def plain_bleu(hypothesis, references):
    """BLEU-4 with 0.1 for a precision without hits, written down from its definition."""
    logs = []
    for length in range(1, 5):
        own = Counter(tuple(hypothesis[n : n + length]) for n in range(len(hypothesis) - length + 1))
        hits = 0
        for gram, count in own.items():
            most = max(
                sum(tuple(other[n : n + length]) == gram for n in range(len(other) - length + 1))
                for other in references
            )
            hits += min(count, most)
        if length == 1 and hits == 0:
            return 0.0
        logs.append(math.log((hits if hits else 0.1) / max(1, sum(own.values()))))
    closest = min((abs(len(other) - len(hypothesis)), len(other)) for other in references)[1]
    penalty = 1.0 if len(hypothesis) >= closest else math.exp(1 - closest / len(hypothesis))
    return penalty * math.exp(sum(logs) / 4)


@pytest.mark.parametrize("seed", range(4))
def test_self_bleu_agrees_with_its_definition(seed):
    tokens = [words_of(text) for text in made_up(25, seed)]
    expected = [plain_bleu(own, tokens[:n] + tokens[n + 1 :]) for n, own in enumerate(tokens)]
    assert diversity.self_bleu([" ".join(words) for words in tokens]) == pytest.approx(sum(expected) / len(expected))


def test_self_bleu_at_its_ends():
    assert diversity.self_bleu(["move the old note", "move the old note"]) == pytest.approx(1.0)
    assert diversity.self_bleu(["a b c d", "e f g h"]) == 0
    assert diversity.self_bleu(["alone"]) == 0


def test_self_bleu_by_hand():
    # "a b c d" against "a b c e": 3/4, 2/3, 1/2 and no run of four of one, same length.
    expected = (3 / 4 * 2 / 3 * 1 / 2 * 0.1) ** 0.25
    assert diversity.self_bleu(["a b c d", "a b c e"]) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("text", "frame"),
    [
        ('Replace "old text" in Plans/Trip to Rome.md with "new"', "replace _ in _ with _"),
        ("Move Jobs/2026-02 Crime novel.md to Archive/Old jobs/", "move _ to _"),
        ("Delete the note Budget 2026 please", "delete the note _ please"),
        ("Load state_1759125900000_1osce68eg now", "load _ now"),
        ("Show lines 3-7 of a.md", "show lines _ of _"),
        ("Ask Edwina. Then tell me.", "ask _ then tell me"),
        ("Club/Snacks.md += 19 February", "_ += _"),
        ("Could you open it?", "could you open it ?"),
        ("I want it gone. I'd say so.", "i want it gone i say so"),
    ],
)
def test_skeletons_leave_out_what_slots_fill(text, frame):
    assert skeleton(text) == frame


def test_a_skeleton_leaves_out_the_values_of_the_calls_as_well():
    text = "ask frost adviser about the treasure hunt in Old figures"
    values = ["Frost adviser", "treasure hunt", "Paper/Old figures", "", "in"]
    assert skeleton(text, values) == "ask _ about the _ in _"
    assert skeleton("treasure hunt", values) == "treasure hunt"
    assert skeleton("openings, open Plan", ["Garden/Plan.md", "open"]) == "openings _"


def test_requests_from_one_frame_have_one_skeleton():
    places = [("Garden/Plan.md", "Old"), ("Meetings/2025-03-01 Board.md", "Archive/2025"), ("a.md", "Club Papers")]
    assert len({skeleton(f"Please move {note} into {folder}.") for note, folder in places}) == 1


def test_openings():
    assert opening("Could you please open it?") == ("could", "you", "please")
    assert opening("Open", 1) == ("open",)


@pytest.mark.parametrize(
    ("text", "held"),
    [
        ("Which notes mention tea?", {"question"}),
        ("delete it", {"lower", "imperative"}),
        ("Could you open it", {"polite"}),
        ("I'd like it gone, please", {"first_person", "polite"}),
        ("I’d like it gone", {"first_person"}),
        ("The plan needs a line.", set()),
        ("pleased to meet you", {"lower"}),
    ],
)
def test_phrasing(text, held):
    assert phrasing(text) == held


def test_quantiles_are_values_that_occur():
    assert [quantile([1, 2, 3, 4, 100], share) for share in (0, 0.5, 1)] == [1, 3, 100]
    assert quantile([7], 0.95) == 7


@pytest.mark.parametrize(
    ("text", "bare"),
    [
        ('Result: {"success": true}', True),
        ('{"success": false, "error": "x"}', True),
        ("The Result: heading is gone", False),
        ('{"name": "x"} should be the text of a.md', False),
    ],
)
def test_a_request_that_is_a_tool_result_is_recognised(text, bare):
    assert diversity.is_bare_result(text) is bare


def test_a_figure_over_samples_is_their_mean():
    texts = [f"{n} {n + 1}" for n in range(1000)]
    assert diversity.mean_of_samples(len, texts) == diversity.SAMPLE
    assert diversity.mean_of_samples(len, texts[:7]) == 7
