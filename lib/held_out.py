"""Rows held out for the evaluation loss: whole families, so that none is asked on both sides, and KTO's order kept."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import replace
from pathlib import Path

from lib.diversity import normal
from lib.errors import CannotRun
from lib.interleaving import arrange, group_by_shared_keys
from lib.jsonl import read_rows


def prompt_of(example) -> str:
    """What the row asks."""
    from lib.rendering import shown_text  # here, as no --help of a training needs it

    return shown_text(example)


def intents_of(path: str, count: int) -> list[str]:
    """The intent of each of a file's rows by the proofs beside it, "" where it has none for just so many rows."""
    beside = Path(path).with_suffix(".proof.jsonl")
    proofs = [proof for _, proof in read_rows(beside)] if beside.is_file() else []
    return [str(proof.get("intent") or "") for proof in proofs] if len(proofs) == count else [""] * count


def with_families(examples: list) -> list:
    """The (place, example) pairs of whole files, each example with the name of its family.

    Rows of one intent are a family, as paraphrases and slips of one another; so are rows that ask with the same words.
    Families with a row in common are one. Its first intent names it: the same one on both sides of SFT and KTO.
    """
    paths = [place.rpartition(":")[0] for place, _ in examples]
    intents = {path: iter(intents_of(path, count)) for path, count in Counter(paths).items()}
    keys = []
    for path, (_, example) in zip(paths, examples, strict=True):
        intent = next(intents[path])
        keys.append([*([f"intent {intent}"] if intent else []), f"words {normal(prompt_of(example))}"])
    groups, names = group_by_shared_keys(keys), {}
    for group, own in zip(groups, keys, strict=True):
        names[group] = min(names.get(group, own[0]), *own)
    return [
        (place, replace(example, family=names[group])) for (place, example), group in zip(examples, groups, strict=True)
    ]


def is_held_out(example, share: float) -> bool:
    """Whether the example belongs to the held-out share; a family goes to one side with all its rows, by its digest."""
    digest = hashlib.sha256((example.family or f"words {normal(prompt_of(example))}").encode()).digest()
    return int.from_bytes(digest[:4], "big") < share * 2**32


def split(examples: list, share: float, alternate: bool) -> tuple[list[int], list[int]]:
    """(places of the rows to train on, of those held out), all rows of a family on one side; CannotRun if none is left.

    Both in file order. With alternate, rows whose labels take turns in the file take turns in the rest, too: each
    label keeps its order, rows of one prompt stay apart, and what finds no place then is left out (a row or two).
    """
    apart = [is_held_out(example, share) for example in examples]
    kept = [place for place, out in enumerate(apart) if not out]
    held = [place for place, out in enumerate(apart) if out]
    if held and not kept:
        raise CannotRun("all rows are of families that are held out. Use --eval-fraction 0, or more rows.")
    labels = [example.label is not False for example in examples]
    if alternate and held and all(a != b for a, b in zip(labels, labels[1:], strict=False)):
        groups = group_by_shared_keys([[prompt_of(examples[place])] for place in kept])
        order = arrange([labels[place] for place in kept], groups)
        kept = [kept[place] for place in order]
    return kept, held
