"""How varied requests are: repetition, skeletons, openings, phrasing and length, comparable between sets.

Distinct n-grams, self-BLEU and neighbours all get worse with the size of a set, so they are taken at SAMPLE or MOST.
"""

import random
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from lib.overlap import jaccard, ngrams

SAMPLE, DRAWS = 300, 5  # requests in a small sample, and how many such samples a figure is the mean of
MOST = 2676  # requests compared with each other at most
WORD = re.compile(r"\w+(?:['’]\w+)*")
TOKEN = re.compile(WORD.pattern + r"|[?]|[=+<>|&@#*~^%]+|-{1,2}>")
SENTENCE_START = re.compile(r"(?:^|[.!?:]\s+)[\"'“‘(]?$")
# What a skeleton leaves out, longest first: quotations, ids, paths (blanks inside allowed before .md), numbers.
QUOTED = re.compile(r"“[^”]*”|‘[^’]*’|«[^»]*»|`[^`]*`|\"[^\"]*\"|(?<!\w)'[^']*'(?!\w)")
ID = re.compile(r"\b[a-z]+_\d{13}_[a-z0-9]{9}\b")
PATH = re.compile(
    r"[\w&.'-]+/[\w&.,'() -]{0,80}?\.[a-z]{2,5}\b"
    r"|[\w&.'-]+(?:/[\w&.'-]+)+/?"
    r"|[\w&'-]+/"
    r"|\b[\w&'-]+\.(?:md|png|jpg|json|txt|canvas|pdf)\b"
)
NUMBER = re.compile(r"\d+(?:[.,:-]\d+)*\w{0,2}")
NAME = re.compile(r"\b[A-Z][\w’'-]*(?:\s+(?:[A-Z][\w’'-]*|(?:of|the|and|for|in|at|to|on)(?=\s+[A-Z])))*")
_PERSONS = "i i'm im i'd id i've ive i'll ill we we're we've we'd we'll my our me let's lets us mine ours"
FIRST_PERSON = frozenset(_PERSONS.split())
ASKING = re.compile(r"\b(?:please|can you|could you)\b")
_VERBS = """
    activate add adjust alter amend append apply archive ask assemble attach back backup be bin branch bring browse
    build bump bundle call capture carry change check choose clean clear clone close collect combine come compare
    compile complete compose condense confirm consult continue convert copy correct count create cross cut decide
    declare define del delete describe detach detail dig disable discard display do double draft draw drop dump
    duplicate edit empty enable ensure enter erase establish examine execute expand explain export extend extract
    fetch file fill find finish fire fix flag flip follow fork forget form format freeze gather generate get give go
    grab grep group hand have help hide highlight hold hunt identify illustrate improve include indicate initialise
    initialize initiate inject insert inspect inventory invoke issue join jot jump keep kick kill label launch lay
    leave link list load locate lock log look loop lose maintain make mark match merge mention modify mount move mv
    name note number open order organise organize outline overwrite paint park paste pause peek pick place point pop
    post prepare prepend preserve print produce provide prune pull purge push put query quote raise read rearrange
    rebuild recall recap record recover redo reduce refresh register relabel reload relocate remember remind remove
    rename render reopen reorganise reorganize repeat rephrase replace report rescue reset restart restore resume
    retire retitle retrieve return reuse review revise rewrite rm roll run save scan scrap scratch search see select
    send separate set shift ship show shut sketch skim snapshot solve sort speak split spot stage star start state
    stick stop store strike strip study submit substitute sum summarise summarize supply suspend swap switch tack tag
    take tell test throw tick tidy toggle total touch trace track transfer translate trash trim try turn type undo
    unite unlock update upgrade use verify view visualise visualize wake walk warn wipe work wrap write zip
"""
IMPERATIVES = frozenset(_VERBS.split())


@dataclass(frozen=True)
class Neighbour:
    """The nearest other text of a text (-1: none shares anything), and how near: 0 to 1."""

    other: int
    likeness: float


def words_of(text: str) -> list[str]:
    """The words in lower case, apostrophes kept inside a word."""
    return WORD.findall(text.lower())


def normal(text: str) -> str:
    """The text without case, punctuation and spacing; equal for requests that differ in nothing else."""
    return " ".join(words_of(text)) or text.strip()


def sample(items: Sequence, size: int, seed: object = 0) -> list:
    """At most `size` of the items, the same ones for the same items and seed."""
    return list(items) if len(items) <= size else random.Random(f"diversity:{seed}").sample(list(items), size)


def mean_of_samples(measure, texts: Sequence[str]) -> float:
    """The mean of a measure over DRAWS samples of SAMPLE texts; over all texts where there are no more."""
    draws = DRAWS if len(texts) > SAMPLE else 1
    return sum(measure(sample(texts, SAMPLE, seed)) for seed in range(draws)) / draws


def near_duplicates(texts: Sequence[str]) -> list[Neighbour]:
    """For each text its nearest other one by Jaccard of word 3-grams."""
    grams = [ngrams(text) for text in texts]
    holders: dict[tuple, list[int]] = defaultdict(list)
    for number, members in enumerate(grams):
        for gram in members:
            holders[gram].append(number)
    found = []
    for number, own in enumerate(grams):
        shared = Counter(other for gram in own for other in holders[gram])
        del shared[number]
        best = max(((jaccard(own, grams[other]), -other) for other in shared), default=(0.0, 1))
        found.append(Neighbour(-best[1], best[0]))
    return found


def nearest_by_tfidf(texts: Sequence[str]) -> list[Neighbour]:
    """For each text its nearest other one by the cosine of TF-IDF word vectors (idf = 1 + ln((1 + n) / (1 + df)))."""
    import numpy as np

    counts = [Counter(words_of(text)) for text in texts]
    frequency = Counter(word for count in counts for word in count)
    idf = {word: 1 + np.log((1 + len(texts)) / (1 + df)) for word, df in frequency.items()}
    vectors = []
    for count in counts:
        weights = {word: number * idf[word] for word, number in count.items()}
        length = sum(weight * weight for weight in weights.values()) ** 0.5
        vectors.append({word: weight / length for word, weight in weights.items()})
    postings: dict[str, tuple[list, list]] = defaultdict(lambda: ([], []))
    for number, vector in enumerate(vectors):
        for word, weight in vector.items():
            postings[word][0].append(number)
            postings[word][1].append(weight)
    arrays = {word: (np.array(numbers), np.array(weights)) for word, (numbers, weights) in postings.items()}
    found = []
    for number, vector in enumerate(vectors):
        scores = np.zeros(len(texts))
        for word, weight in vector.items():
            holders, weights = arrays[word]
            scores[holders] += weight * weights
        scores[number] = -1
        best = int(scores.argmax()) if len(texts) > 1 else -1
        near = best >= 0 and scores[best] > 0
        found.append(Neighbour(best, min(1.0, float(scores[best]))) if near else Neighbour(-1, 0.0))
    return found


def runs(texts: Iterable[str], length: int) -> Counter:
    """How often each run of `length` words occurs in all texts together."""
    return Counter(run for text in texts for run in runs_of(words_of(text), length))


def distinct(texts: Iterable[str], length: int) -> float:
    """Different runs of `length` words by all runs."""
    counts = runs(texts, length)
    return len(counts) / counts.total() if counts else 0.0


def runs_of(words: list[str], length: int) -> list[tuple[str, ...]]:
    """Every run of `length` words, in order."""
    return [tuple(words[start : start + length]) for start in range(len(words) - length + 1)]


def self_bleu(texts: Sequence[str], longest: int = 4, smoothing: float = 0.1) -> float:
    """The mean BLEU of each text against all others: clipped n-gram precisions up to `longest`, brevity penalty.

    A precision without a hit counts `smoothing` hits, as in NLTK's method 1; a text that shares no word scores 0.
    """
    tokens = [words for text in texts if (words := words_of(text))]
    if len(tokens) < 2:
        return 0.0
    counts = [[Counter(runs_of(words, length)) for words in tokens] for length in range(1, longest + 1)]
    tops = [two_largest(by_text) for by_text in counts]
    lengths = Counter(map(len, tokens))
    return sum(bleu(tokens, counts, tops, lengths, number, smoothing) for number in range(len(tokens))) / len(tokens)


def two_largest(counts: list[Counter]) -> dict[tuple, tuple[int, int, int]]:
    """For each n-gram (its largest count in one text, that text, its largest count in the others)."""
    found: dict[tuple, tuple[int, int, int]] = {}
    for number, count in enumerate(counts):
        for gram, times in count.items():
            first, owner, second = found.get(gram, (0, -1, 0))
            found[gram] = (times, number, first) if times > first else (first, owner, max(second, times))
    return found


def bleu(tokens, counts, tops, lengths, number: int, smoothing: float) -> float:
    """BLEU of one text against all others."""
    from math import exp, log

    size = len(tokens[number])
    total = 0.0
    for place, by_text in enumerate(counts):
        hits = 0
        for gram, times in by_text[number].items():
            first, owner, second = tops[place][gram]
            hits += min(times, second if owner == number else first)
        if place == 0 and not hits:
            return 0.0
        total += log((hits or smoothing) / max(1, size - place))
    others = (length for length, times in lengths.items() if times > (length == size))
    closest = min(others, key=lambda length: (abs(length - size), length))
    return min(1.0, exp(1 - closest / size)) * exp(total / len(counts))


def skeleton(text: str, values: Iterable[str] = ()) -> str:
    """The frame of a request: quotations, paths, ids, numbers, names, and the given values each become one _.

    A request that is nothing but values has no frame and stands for itself.
    """
    said, text = text, _without(text, values)
    for pattern in (QUOTED, ID, PATH, NUMBER):
        text = pattern.sub("_", text)
    pieces, end = [], 0
    for match in NAME.finditer(text):
        first, _, rest = match[0].partition(" ")
        opens = SENTENCE_START.search(text[: match.start()])
        kept = "I" if first in ("I", "I'm", "I'd", "I've", "I'll") else first if opens and words_of(first) else ""
        pieces += [text[end : match.start()], f" {kept} {'_' if rest or not kept else ''}"]
        end = match.end()
    words = TOKEN.findall("".join([*pieces, text[end:]]).lower())
    frame = " ".join(word for before, word in pairwise(["", *words]) if (before, word) != ("_", "_"))
    return frame if frame != "_" else normal(said)


def _without(text: str, values: Iterable[str]) -> str:
    """The text with every whole occurrence of a value, longest first, as _; paths also by their parts."""
    known = set()
    for value in values:
        for part in (value, *value.split("/")):
            known |= {part.strip(), part.strip().rpartition(".")[0]}
    ordered = sorted((value for value in known if len(value) > 2), key=lambda value: (-len(value), value))
    if not ordered:
        return text
    return re.sub(rf"(?<!\w)(?:{'|'.join(map(re.escape, ordered))})(?!\w)", "_", text, flags=re.IGNORECASE)


def opening(text: str, length: int = 3) -> tuple[str, ...]:
    """The first words of a request."""
    return tuple(words_of(text)[:length])


def phrasing(text: str) -> set[str]:
    """What holds of a request: question, lower, polite, first_person, imperative."""
    lowered = text.lower().replace("’", "'")
    first = (words_of(lowered) or [""])[0]
    held = {
        "question": "?" in text,
        "lower": text.lstrip()[:1].islower(),
        "polite": bool(ASKING.search(lowered)),
        "first_person": first in FIRST_PERSON,
        "imperative": first in IMPERATIVES,
    }
    return {name for name, holds in held.items() if holds}


def quantile(values: Sequence[float], share: float) -> float:
    """The value below which this share of the values lies (nearest rank)."""
    return sorted(values)[round(share * (len(values) - 1))]


def is_bare_result(text: str) -> bool:
    """Whether a request is a tool result in place of words."""
    start = text.lstrip()
    return start.startswith("Result:") or bool(re.match(r'\{\s*"(?:success|error|data)"', start))
