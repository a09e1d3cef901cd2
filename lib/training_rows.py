"""The rows of a training: examples from files, rendered, some left out, some shortened, all drawn by seed."""

from __future__ import annotations

import random

from lib.cli import log, progress
from lib.config import Recipe
from lib.errors import CannotRun
from lib.held_out import is_held_out, with_families


def load_examples(paths: list[str]) -> list:
    """Every example of the files, with its place and family; rows that cannot be trained on end in CannotRun."""
    from lib.chat import example_from_row
    from lib.jsonl import read_rows
    from lib.validation import order_rules

    examples, faults = [], []
    for path in paths:
        for line, row in read_rows(path):
            example, problems = example_from_row(row)
            structural = [problem for problem in problems if problem.severity == "error"] or order_rules(example)
            if structural and example.label is not False:
                faults.append(f"{path}:{line}: {structural[0].code}: {structural[0].message}")
            else:
                examples.append((f"{path}:{line}", example))
    if faults:
        shown = "\n".join(faults[:5])
        raise CannotRun(f"{len(faults)} rows cannot be trained on (make validate shows all):\n{shown}")
    return with_families(examples)


def tools_for(mode: str) -> list[dict] | None:
    """The tool list that goes into the prompt, or None when the toolset is learnt by heart."""
    from lib.toolset import load_toolset

    return None if mode == "none" else load_toolset().openai_tools()


def render_rows(examples: list, tokenizer, config: Recipe) -> tuple[list, list, int]:
    """(rendered rows, their examples, how many were too long and left out)."""
    from lib.rendering import check_trained_share, render

    tools, rows, kept, too_long = tools_for(config.tools_in_prompt), [], [], 0
    for place, example in progress(examples, desc="Tokenizing", unit="row"):
        try:
            rendered = render(example, tokenizer, config.format, tools)
        except CannotRun as error:
            raise CannotRun(f"{place}: {error.message}") from error
        if len(rendered.input_ids) > config.max_length:
            too_long += 1
            log(f"{place}: {len(rendered.input_ids)} tokens, more than max_length {config.max_length}; left out")
        elif rendered.trained:
            rows.append(rendered)
            kept.append(example)
    if not rows:
        raise CannotRun(f"no row is left to train on: {too_long} are longer than max_length {config.max_length}.")
    check_trained_share(rows)
    return rows, kept, too_long


def spread(examples: list, per_tool: int, seed: int) -> tuple[list, list]:
    """(the examples, at most per_tool of them, drawn with the seed, for each tool that is called first or for none,
    those left out); 0 takes all.

    What is called first is uneven in any honest data: a look round comes before many tasks. A short training learns
    that habit before it learns the rarer tools.
    """
    if not per_tool:
        return examples, []
    groups: dict[str, list[int]] = {}
    for place, (_, example) in enumerate(examples):
        groups.setdefault(next((call.name for call in example.calls), ""), []).append(place)
    rng = random.Random(f"spread {seed}")
    kept = {place for group in groups.values() for place in rng.sample(group, min(per_tool, len(group)))}
    left = [example for place, example in enumerate(examples) if place not in kept]
    return [example for place, example in enumerate(examples) if place in kept], left


def sft_rows(rows: list, config: Recipe) -> list:
    """The rows, of which the recipe's shares keep what follows their first call and the loss on their contexts."""
    return thin_context(shorten(rows, config.whole_share, config.seed), config.context_share, config.seed)


def shorten(rows: list, share: float, seed: int) -> list:
    """The rows, of which a share drawn with the seed stays whole and the others end with their first call.

    Every beginning that ends with the assistant's turn is an example by itself, and results cost more than they teach:
    a row is drawn with a weight of 1 / sqrt(tokens behind its first call), by the least exponential variate over its
    weight (Efraimidis and Spirakis 2006).
    """
    rng = random.Random(seed)
    rest = [len(row.input_ids) - row.first_call_end for row in rows]
    keys = [rng.expovariate(1.0) * tokens**0.5 for tokens in rest]
    whole = set(sorted(range(len(rows)), key=keys.__getitem__)[: round(share * len(rows))])
    return [row if place in whole else row.first(row.first_call_end) for place, row in enumerate(rows)]


def thin_context(rows: list, share: float, seed: int) -> list:
    """The rows, of which a share drawn with the seed keeps the loss on its calls' context objects.

    Two of three trained tokens are context: prose that can be worded in many ways, where tool and arguments cannot.
    """
    rng = random.Random(f"context {seed}")
    return [row if rng.random() < share else row.without_context for row in rows]


def name_rows(examples: list, tokenizer, config: Recipe) -> list:
    """Rows cut behind the name of their first call, names_per_tool for each tool, drawn with the seed.

    A name is learnt from a dozen tokens behind a request, at a fifth of what the whole row costs.
    """
    calling = [one for one in examples if one[1].calls and not is_held_out(one[1], config.eval_fraction)]
    if not config.names_per_tool or not calling:
        return []
    rows, _, _ = render_rows(spread(calling, config.names_per_tool, config.seed)[0], tokenizer, config)
    return [row.first(row.name_end) for row in rows if row.name_end > row.prompt_length]
