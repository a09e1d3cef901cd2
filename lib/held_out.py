"""Rows held out for the evaluation loss: whole prompts, so that none is asked on both sides, and KTO's order kept."""

from __future__ import annotations

import hashlib

from lib.interleaving import arrange, group_by_shared_keys


def prompt_of(example) -> str:
    """What the row asks."""
    from lib.rendering import shown_text  # here, as no --help of a training needs it

    return shown_text(example)


def is_held_out(example, share: float) -> bool:
    """Whether the example belongs to the held-out share; a prompt goes to one side with all its rows, by its digest."""
    digest = hashlib.sha256(prompt_of(example).encode()).digest()
    return int.from_bytes(digest[:4], "big") < share * 2**32


def split(examples: list, share: float, alternate: bool) -> tuple[list[int], list[int]]:
    """(places of the rows to train on, of those held out), all rows of a prompt on one side.

    Both in file order. With alternate, rows whose labels take turns in the file take turns in the rest, too: each
    label keeps its order, rows of one prompt stay apart, and what finds no place then is left out (a row or two).
    """
    apart = [is_held_out(example, share) for example in examples]
    kept = [place for place, out in enumerate(apart) if not out]
    held = [place for place, out in enumerate(apart) if out]
    labels = [example.label is not False for example in examples]
    if alternate and held and all(a != b for a, b in zip(labels, labels[1:], strict=False)):
        groups = group_by_shared_keys([[prompt_of(examples[place])] for place in kept])
        order = arrange([labels[place] for place in kept], groups)
        kept = [kept[place] for place in order]
    return kept, held
