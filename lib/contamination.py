"""Training rows that ask what an evaluation asks: found by runs of three words, and by MinHash of runs of five letters.

Two measures, since each is blind where the other sees: words find what was reordered or put into a longer text, letters
what was misspelt, inflected or spaced differently.
"""

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from pathlib import Path

from lib.chat import Example, example_from_row
from lib.errors import CannotRun
from lib.gates import Dataset, Figure, more
from lib.jsonl import read_rows
from lib.likeness import PERMUTATIONS, bands_for, empty_minhash
from lib.overlap import TOO_ALIKE, Index, jaccard, ngrams

PROMPTS = Path("evaluator/prompts")
CONTAINED = 0.8  # share of a prompt's word runs from which a longer text holds it
ENOUGH = 6  # word runs that a prompt needs for that
LETTERS = 5
HELD = 10_000  # texts whose result is kept: rows of one request are often many
MEASURES = {
    "words": "Jaccard of word 3-grams",
    "letters": "Jaccard of letter 5-grams, by MinHash",
    "contained": "share of the prompt's word 3-grams",
}


@dataclass(frozen=True)
class Leak:
    """A training text (its file and line) that asks what an evaluation prompt asks, and by which measure how alike."""

    path: str
    line: int
    prompt: str  # set:id
    measure: str
    likeness: float
    text: str
    question: str


@dataclass
class Report:
    """Rows read, the leaks among them, and the nearest miss of each measure."""

    rows: int = 0
    leaks: list[Leak] = field(default_factory=list)
    nearest: dict[str, Leak] = field(default_factory=dict)

    def to_dict(self) -> dict:
        """For programs."""
        nearest = {name: asdict(leak) for name, leak in self.nearest.items()}
        return {"rows": self.rows, "leaks": [asdict(leak) for leak in self.leaks], "nearest": nearest}


def load_prompts(paths: Iterable[Path] = ()) -> dict[str, str]:
    """set:id -> question of every case in the prompt sets (all that are shipped when none is named)."""
    paths = list(paths) or sorted(PROMPTS.glob("*.jsonl"))
    found = {}
    for path in paths:
        for line, row in read_rows(path):
            question = row.get("question")
            if isinstance(question, list):  # BFCL: turns of messages
                turns = [message for turn in question for message in (turn if isinstance(turn, list) else [turn])]
                question = "\n".join(str(turn.get("content")) for turn in turns if turn.get("role") == "user")
            if not isinstance(question, str) or "id" not in row:
                raise CannotRun(f"{path}:{line}: no prompt: a line needs an id and a question.")
            found[f"{Path(path).stem}:{row['id']}"] = question
    if not found:
        raise CannotRun(f"{PROMPTS}: there are no prompt sets in it, so nothing can be compared.")
    return found


class Prompts:
    """Evaluation prompts to hold training texts against."""

    def __init__(self, prompts: dict[str, str], threshold: float = TOO_ALIKE):
        from datasketch import MinHashLSH

        self.names: dict[str, str] = {}
        for name, text in prompts.items():
            self.names.setdefault(text, name)
        self.index = Index(self.names)
        self.runs = [letters(text) for text in self.index.texts]
        self.lsh = MinHashLSH(num_perm=PERMUTATIONS, params=bands_for(min(threshold, 0.9)))
        for number, runs in enumerate(self.runs):
            self.lsh.insert(number, minhash(runs))

    def nearest(self, text: str) -> dict[str, tuple[str, float]]:
        """measure -> (question, likeness) of the most alike prompt; measures without any are left out."""
        found = {}
        own = ngrams(text)
        near = self.index.nearest(text)
        if near.other:
            found["words"] = near.other, near.likeness
            shared = Counter(number for gram in own for number in self.index.holders.get(gram, ()))
            shares = [
                (count / len(self.index.grams[number]), -number)
                for number, count in shared.items()
                if len(self.index.grams[number]) >= ENOUGH
            ]
            if shares:
                best, number = max(shares)
                found["contained"] = self.index.texts[-number], best
        runs = letters(text)
        likely = [(jaccard(runs, self.runs[number]), -number) for number in self.lsh.query(minhash(runs))]
        if likely:
            best, number = max(likely)
            found["letters"] = self.index.texts[-number], best
        return found


def letters(text: str) -> frozenset[str]:
    """The runs of five letters and digits, without case, blanks and punctuation; a shorter text is one run."""
    plain = "".join(char for char in text.casefold() if char.isalnum())
    return frozenset(plain[start : start + LETTERS] for start in range(max(1, len(plain) - LETTERS + 1)))


def minhash(runs: frozenset[str]):
    """datasketch's MinHash of some runs."""
    made = empty_minhash().copy()
    made.update_batch([run.encode("utf-8", "surrogatepass") for run in runs])
    return made


def look(rows: Iterable[tuple[str, int, str]], prompts: dict[str, str], threshold: float = TOO_ALIKE) -> Report:
    """What was found in (path, line, user's text) triples, which may come from a stream."""
    known, report, last = Prompts(prompts, threshold), Report(), None
    nearest = lru_cache(maxsize=HELD)(known.nearest)
    for path, line, text in rows:
        report.rows += (path, line) != last
        last = path, line
        for measure, (question, likeness) in nearest(text).items():
            leak = Leak(path, line, known.names[question], measure, round(likeness, 4), text, question)
            if likeness >= (CONTAINED if measure == "contained" else threshold):
                report.leaks.append(leak)
            elif measure not in report.nearest or likeness > report.nearest[measure].likeness:
                report.nearest[measure] = leak
    return report


def asked(path) -> Iterator[tuple[str, int, str]]:
    """(path, line, text) of all that users say in a dataset file of either form."""
    for line, row in read_rows(path):
        for text in said_by_users(example_from_row(row)[0]):
            yield str(path), line, text


def said_by_users(example) -> list[str]:
    return [turn.text for turn in example.turns if turn.role == "user" and turn.text.strip()]


def refuse_evaluation_prompts(examples: Iterable[tuple[str, Example]]) -> None:
    """CannotRun when an example, given with its place, asks what a shipped evaluation prompt asks.

    A model that has seen the question, and perhaps the answer, is no longer measured by it.
    """
    texts = ((place, 0, text) for place, example in examples for text in said_by_users(example))
    leaks = list({leak.path: leak for leak in look(texts, load_prompts()).leaks}.values())
    if leaks:
        named = "\n".join(f"{leak.path}: {leak.likeness:.2f} like {leak.prompt}: {leak.question}" for leak in leaks[:5])
        raise CannotRun(
            f"{len(leaks)} rows ask what the evaluation asks, and a model trained on them could not be measured. "
            f"Take them out (make contamination lists all), or train on a set that is held back for it:\n{named}"
        )


def contaminated(data: Dataset) -> Figure:
    """How many rows of a dataset ask what a shipped evaluation prompt asks."""
    texts = (
        (str(data.path), line, text)
        for line, example in zip(data.lines, data.examples, strict=True)
        for text in said_by_users(example)
    )
    leaks = look(texts, load_prompts()).leaks
    lines = dict.fromkeys(leak.line for leak in leaks)
    causes = tuple(
        f"line {leak.line}: {leak.likeness:.2f} like {leak.prompt} ({MEASURES[leak.measure]}): {json.dumps(leak.text)}"
        for leak in leaks[:5]
    )
    return Figure(len(lines), causes + more(len(leaks) - 5))
