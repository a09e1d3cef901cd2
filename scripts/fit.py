"""Will it fit? The memory that a training will take, part by part, from the base model's config.json alone.

\b
    python -m scripts.fit --size 7b                    # a 24 GB card, a 16 GB Mac, and this machine's free memory
    python -m scripts.fit --size 7b --memory 12        # another card
    python -m scripts.fit --model path/to/config.json --method kto --json
    python -m scripts.fit --factor 1.07                # corrected by what a probe measured

For each: the parts of the peak, the largest batch and the longest row that fit, and the flags that make the recipe fit.
Exit 1 when it fits nowhere. A forecast: `make probe` measures one step here and corrects it.
"""

import json
from importlib import import_module

import click

from lib.cli import command, json_option, option


@command(help=__doc__)
@option("--size", default="7b", help="A key of configs/sizes.yaml.")
@click.option("--model", default="", help="Another base: a folder, a config.json or a Hub id. Default: the size's own.")
@option("--method", type=click.Choice(["sft", "kto"]), default="sft", help="Which recipe.")
@click.option("--memory", type=click.FloatRange(min=0.1), help="GB of a card, instead of the 24 GB one.")
@click.option("--batch-size", type=click.IntRange(min=1), help="Another batch than the recipe's.")
@click.option("--max-length", type=click.IntRange(min=16), help="Other rows than the recipe's longest.")
@option("--factor", type=click.FloatRange(min=0.1), default=1.0, help="Measured over forecast, as make probe says.")
@json_option
@click.pass_context
def main(ctx, size, model, method, memory, batch_size, max_length, factor, as_json):
    budgets = import_module("lib.budgets")
    changes = {"batch_size": batch_size, "max_length": max_length}
    found = [budgets.judge(place, size, method, model, changes, factor) for place in budgets.places(memory)]
    click.echo(json.dumps(found, indent=1) if as_json else "\n".join(budgets.table(found)))
    ctx.exit(0 if any(one["fits"] or one["flags"] for one in found) else 1)


if __name__ == "__main__":
    main()
