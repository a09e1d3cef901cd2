"""How well a query fits a name or a text: small deterministic scores between 0 and 1, and snippets."""

import re
from functools import lru_cache

CONTENT_WEIGHT, NAME_WEIGHT = 0.6, 0.4
PHRASE_SCORE, WORDS_WEIGHT, WORDS_FLOOR = 0.9, 0.8, 0.3
SHORT_WORD = 2  # letters; words up to this length are not looked for
NAME_FLOOR = 0.4  # weaker name matches are noise
WORD_FLOOR = 0.5  # two words less alike than this are different words
MAX_QUERY_WORDS = 50
WORD = re.compile(r"\w+")


def words(text: str) -> list[str]:
    """The words of a text, without case."""
    return WORD.findall(text.casefold().replace("_", " "))


def text_score(query: str, text: str) -> float:
    """0.9 for the exact phrase, else 0.8 times the share of query words found but at least 0.3; 0 for none."""
    phrase, folded = query.strip().casefold(), text.casefold()
    if phrase in folded:
        return PHRASE_SCORE
    wanted = list(dict.fromkeys(word for word in words(query) if len(word) > SHORT_WORD))[:MAX_QUERY_WORDS]
    found = sum(word in folded for word in wanted)
    return max(WORDS_WEIGHT * found / len(wanted), WORDS_FLOOR) if found else 0.0


def name_score(query: str, name: str) -> float:
    """1 for the same words, 0.7 to 0.95 for the query inside the name, below that by alike words; 0 under 0.4."""
    wanted, given = words(query)[:MAX_QUERY_WORDS], words(name)
    if not wanted or not given:
        return 0.0
    phrase, whole = " ".join(wanted), " ".join(given)
    if phrase == whole:
        return 1.0
    if phrase in whole:
        return round(0.7 + 0.25 * len(phrase) / len(whole), 4)
    best = [max(_alike(word, other) for other in given) for word in wanted]
    score = 0.8 * sum(value for value in best if value >= WORD_FLOOR) / len(wanted)
    return round(score, 4) if score >= NAME_FLOOR else 0.0


def _alike(one: str, other: str) -> float:
    """Dice's coefficient over pairs of neighbouring letters; 1 for equal words."""
    if one == other:
        return 1.0
    pairs, others = _pairs(one), _pairs(other)
    return 2 * len(pairs & others) / (len(pairs) + len(others)) if pairs and others else 0.0


@lru_cache(maxsize=4096)  # a query is held against every name, and names come again with the next one
def _pairs(word: str) -> frozenset[str]:
    return frozenset(word[index : index + 2] for index in range(len(word) - 1))


def combined(body: float, name: float) -> tuple[float, str]:
    """(score, search method) of a note from how its text and its name fit."""
    if body and name:
        return round(CONTENT_WEIGHT * body + NAME_WEIGHT * name, 4), "combined"
    return (round(body, 4), "keyword") if body else (name, "fuzzy")


def first_hit(query: str, text: str) -> int:
    """Where the phrase begins in the text, or else its first word found there; 0 when nothing is."""
    long_words = [word for word in words(query) if len(word) > SHORT_WORD]
    for part in (query.strip(), *long_words[:MAX_QUERY_WORDS]):
        hit = re.search(re.escape(part), text, re.IGNORECASE)
        if hit:
            return hit.start()
    return 0


def snippet(query: str, text: str, length: int) -> str:
    """About `length` characters round the first hit, with ... where text is left out."""
    start = max(0, first_hit(query, text) - length // 3)
    start = max(0, min(start, len(text) - length))
    end = min(len(text), start + length)
    return ("..." if start else "") + text[start:end].strip() + ("..." if end < len(text) else "")
