"""Show rows as the model sees them: every token, coloured by its role in the loss, and the tokens of each role.

\b
    python -m scripts.inspect datasets/syngen_tools_sft.jsonl --count 3
    python -m scripts.inspect --format text --line 12 --ids datasets/syngen_tools_kto.jsonl
"""

import json
from dataclasses import asdict
from importlib import import_module

import click

from lib.cli import command, json_option, log, option
from lib.config import FORMATS, PLATFORMS, TOOLS_IN_PROMPT, load_size
from lib.errors import CannotRun

DEFAULT_DATA = "datasets/syngen_tools_sft.jsonl"
STYLES = {"prompt": "dim", "trained": "bold green", "context": "green", "result": "yellow", "id": "red"}


def load(size_name: str, platform: str, model: str | None, tools_in_prompt: str):
    """The tokenizer, with our template where the size has one."""
    from lib.base_model import fetch
    from lib.templates import template_for

    size = load_size(size_name, platform, "sft")
    template = template_for(tools_in_prompt, size.template) if size.template else None
    return import_module("lib.tokenizer_torch").load_tokenizer(fetch(model or size.base), template, tools_in_prompt)


def coloured(rendered, tokenizer, with_ids: bool):
    """A rich text of the row's tokens."""
    from rich.text import Text

    text = Text()
    for token, role in zip(rendered.input_ids, rendered.roles, strict=True):
        text.append(tokenizer.decode([token]), STYLES[role])
        if with_ids:
            text.append(f"[{token}]", "dim blue")
    return text


def table(counts):
    """Tokens and share of each role."""
    from rich.table import Table

    total, found = sum(counts.values()), Table("role", "tokens", "share")
    for role, style in STYLES.items():
        found.add_row(f"[{style}]{role}[/]", str(counts[role]), f"{100 * counts[role] / total:.1f} %")
    return found


@command(help=__doc__)
@click.argument("data", nargs=-1)
@option("--size", default="tiny", help="A key of configs/sizes.yaml; it names the tokenizer.")
@option("--platform", type=click.Choice(PLATFORMS), default="cpu")
@click.option("--model", help="Another base model: a Hub id or a folder.")
@option("--format", "form", type=click.Choice(FORMATS), default="native")
@option("--tools-in-prompt", type=click.Choice(TOOLS_IN_PROMPT), default="none")
@option("--count", type=click.IntRange(min=1), default=3, help="How many rows.")
@option("--line", type=click.IntRange(min=1), default=1, help="The first row shown, counted from 1.")
@click.option("--ids", "with_ids", is_flag=True, help="Show token ids too.")
@json_option
def main(data, size, platform, model, form, tools_in_prompt, count, line, with_ids, as_json):
    from rich.console import Console

    from lib.rendering import check_trained_share, render, role_counts
    from lib.training_rows import load_examples, tools_for

    tokenizer = load(size, platform, model, tools_in_prompt)
    examples = load_examples(list(data) or [DEFAULT_DATA])[line - 1 : line - 1 + count]
    if not examples:
        raise CannotRun(f"there is no row {line}.")
    rows = [(place, render(example, tokenizer, form, tools_for(tools_in_prompt))) for place, example in examples]
    if as_json:
        click.echo(json.dumps([{"place": place, **asdict(row)} for place, row in rows], ensure_ascii=False))
        return
    console = Console(highlight=False, soft_wrap=True)
    for place, row in rows:
        log(f"{place}: {len(row.input_ids)} tokens, {row.trained} trained")
        console.print(coloured(row, tokenizer, with_ids))
    console.print(table(role_counts([row for _, row in rows])))
    check_trained_share([row for _, row in rows])


if __name__ == "__main__":
    main()
