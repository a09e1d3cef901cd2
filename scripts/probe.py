"""Take real training steps over rows of the full length: how right the memory forecast is, and the largest batch here.

\b
    python -m scripts.probe --size tiny
    python -m scripts.probe --size 7b --platform cuda --method kto --json

Each trial is a process of its own, so that one that runs out of memory harms nothing. Nothing is trained.
"""

import json
from dataclasses import asdict, replace
from importlib import import_module

import click

from lib.cli import command, json_option, log, option
from lib.config import PLATFORMS, load_config, load_size


@command(help=__doc__)
@option("--platform", type=click.Choice(PLATFORMS), default="cpu", help="What to train on.")
@option("--size", default="tiny", help="A key of configs/sizes.yaml.")
@click.option("--model", default="", help="Another base model: a Hub id or a folder. Default: the size's own.")
@option("--method", type=click.Choice(["sft", "kto"]), default="sft", help="Which recipe.")
@click.option("--batch-size", type=click.IntRange(min=1), help="Begin with another batch than the recipe's.")
@click.option("--max-length", type=click.IntRange(min=16), help="Other rows than the recipe's longest.")
@click.option("--gradient-checkpointing", is_flag=True, default=None, help="With it, whatever the recipe says.")
@click.option("--memory", type=click.FloatRange(min=0.1), help="GB that may be taken. Default: all that is free.")
@json_option
def main(platform, size, model, method, memory, as_json, **changes):
    base = load_size(size, platform, method)
    config, _ = load_config(method, base, changes)
    folder = import_module("lib.base_model").fetch(model or base.base)
    memory_of, trials = import_module("lib.memory"), import_module("lib.trials")
    shape = import_module("lib.model_config").shape_of(str(folder))
    budget = memory * memory_of.GIB if memory else import_module("lib.budgets").free_here(platform)
    trial = trials.Trial(method, platform, str(folder), {})

    def measure(batch):
        settings = asdict(replace(config, batch_size=batch, grad_accumulation=1, epochs=1.0, log_every=1))
        return trials.run_trial(replace(trial, settings=settings))

    plan = memory_of.plan_of(shape, platform, config)
    tried = trials.probe(shape, plan, budget, measure)
    result = trials.summary(plan, tried, budget)
    click.echo(json.dumps(result, indent=1) if as_json else "\n".join(trials.lines(result)))
    log(f'With these flags: make {method} {method.upper()}_ARGS="{" ".join(result["flags"])}"')


if __name__ == "__main__":
    main()
