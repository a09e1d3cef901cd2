"""Scores of names and texts, snippets, and the properties and tags of notes."""

import pytest

from lib.vault.frontmatter import frontmatter, tags_of
from lib.vault.matching import name_score, snippet, text_score

# ------------------------------------------------------------ scores


@pytest.mark.parametrize(
    ("query", "text", "score"),
    [
        ("high water", "HIGH WATER at noon", 0.9),
        ("high water", "water, and it is high", 0.8),
        ("high water mark", "the water", 0.3),
        ("high water mark", "high water is the mark", 0.8),
        ("at of", "nothing here", 0.0),
        ("tide", "nothing here", 0.0),
    ],
)
def test_a_text_scores_by_phrase_or_share_of_words(query, text, score):
    assert text_score(query, text) == pytest.approx(score)


@pytest.mark.parametrize(
    ("query", "name", "low", "high"),
    [
        ("tide tables", "Tide-Tables", 1.0, 1.0),
        ("tide", "Tide Tables", 0.7, 0.95),
        ("tables tide", "Tide Tables", 0.6, 0.8),
        ("tide tabels", "Tide Tables", 0.4, 0.8),
        ("glaze", "Tide Tables", 0.0, 0.0),
        ("...", "Tide Tables", 0.0, 0.0),
        ("tide", "---", 0.0, 0.0),
    ],
)
def test_a_name_scores_by_how_alike_its_words_are(query, name, low, high):
    assert low <= name_score(query, name) <= high


def test_the_nearer_name_scores_higher():
    names = ["Tide", "Tide Tables", "Tide Tables of the North"]
    scores = [name_score("tide", name) for name in names]
    assert scores == sorted(scores, reverse=True)
    assert len(set(scores)) == 3


def test_a_snippet_is_cut_round_the_hit():
    text = "a" * 300 + " harbour " + "b" * 300
    shown = snippet("harbour", text, 60)
    assert "harbour" in shown
    assert shown.startswith("...") and shown.endswith("...")
    assert len(shown) <= 66
    assert snippet("harbour", "short harbour", 60) == "short harbour"


# ------------------------------------------------------------ properties


def test_properties_are_texts_numbers_booleans_and_flat_lists():
    text = (
        "---\nkey: true\nn: 3\nhalf: 0.5\nname: 'a: b'\nlist: [x, 2]\nblock:\n  - p\n  - q\n"
        "nothing:\nzip: 007\n---\nbody: no\n"
    )
    assert frontmatter(text) == {
        "key": True,
        "n": 3,
        "half": 0.5,
        "name": "a: b",
        "list": ["x", 2],
        "block": ["p", "q"],
        "nothing": None,
        "zip": "007",
    }


@pytest.mark.parametrize(
    "text", ["", "plain", "---\nkey: true\n", "\n---\nkey: true\n---\n", "---\n- a\nhttp://x\n---\n"]
)
def test_what_is_no_property_block_has_no_properties(text):
    assert frontmatter(text) == {}


def test_tags_come_from_properties_and_text_each_once():
    text = "---\ntags: [sea, '#maps']\n---\n# Title\nsee #sea and #deep/water but not a#b or #12"
    assert tags_of(text) == ["sea", "maps", "deep/water"]
    assert tags_of("---\ntags: one, two\n---\n") == ["one", "two"]
