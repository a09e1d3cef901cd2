"""How alike two texts are by their runs of three words, and the nearest of many texts to each of some others."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from lib.jsonl import read_rows

TOO_ALIKE = 0.5  # Jaccard of word 3-grams from which a prompt counts as seen in training
_WORD = re.compile(r"\w+")


@dataclass(frozen=True)
class Nearest:
    """The most alike text for one text, and how alike: 0 (no common run of words) to 1 (the same runs)."""

    text: str
    other: str
    likeness: float


def ngrams(text: str, length: int = 3) -> frozenset[tuple[str, ...]]:
    """The runs of `length` words, without case and punctuation; a shorter text is one run."""
    words = _WORD.findall(text.casefold())
    if len(words) <= length:
        return frozenset([tuple(words)]) if words else frozenset()
    return frozenset(tuple(words[start : start + length]) for start in range(len(words) - length + 1))


def jaccard(left: frozenset, right: frozenset) -> float:
    """Shared members by all members."""
    return len(left & right) / len(left | right) if left or right else 0.0


class Index:
    """Texts, each one once, of which the most alike to another text is found without comparing them all."""

    def __init__(self, texts: Iterable[str] = ()):
        self.texts: list[str] = []
        self.grams: list[frozenset] = []
        self.holders: dict[tuple[str, ...], list[int]] = defaultdict(list)
        for text in dict.fromkeys(texts):
            self.add(text)

    def add(self, text: str) -> None:
        members = ngrams(text)
        for gram in members:
            self.holders[gram].append(len(self.texts))
        self.texts.append(text)
        self.grams.append(members)

    def nearest(self, text: str) -> Nearest:
        """The first of the most alike texts; other is "" when none shares a run of words."""
        own = ngrams(text)
        shared = Counter(index for gram in own for index in self.holders.get(gram, ()))
        score, best = max(((jaccard(own, self.grams[index]), -index) for index in shared), default=(0.0, 1))
        return Nearest(text, self.texts[-best] if score else "", score)


def nearest(texts: Iterable[str], corpus: Iterable[str]) -> list[Nearest]:
    """For each text the one of the corpus that is most alike; other is "" when none shares a run of words."""
    index = Index(corpus)
    return [index.nearest(text) for text in texts]


def user_texts(path) -> list[str]:
    """What the user says in every row of a dataset file, in either form."""
    return [
        turn["content"]
        for _, row in read_rows(path)
        for turn in row.get("conversations", row.get("messages", []))
        if isinstance(turn, dict) and turn.get("role") == "user" and isinstance(turn.get("content"), str)
    ]
