"""Write a training for another engine, where this machine is too small: a folder, and what it cannot carry over.

\b
    python -m scripts.outgrow accelerate --method sft --platform cuda --size 13b --gpus 4
    python -m scripts.outgrow axolotl --platform cuda --size 7b
    python -m scripts.outgrow skypilot --method kto --size 7b --gpus 8

accelerate: a plain trl script with settings and data. axolotl: its YAML and the rows. skypilot: this project itself on
a rented machine.
"""

from pathlib import Path

import click

from lib.cli import command, log, option
from lib.config import FORMATS, PLATFORMS, TOOLS_IN_PROMPT

DEFAULT_DATA = {"sft": "datasets/syngen_tools_sft.jsonl", "kto": "datasets/syngen_tools_kto.jsonl"}


@command(help=__doc__)
@click.argument("engine", type=click.Choice(["accelerate", "axolotl", "skypilot"]))
@click.argument("data", nargs=-1)
@option("--method", type=click.Choice(["sft", "kto"]), default="sft", help="What to train.")
@option("--platform", type=click.Choice(PLATFORMS), default="cuda", help="Whose settings and base model.")
@option("--size", default="7b", help="A key of configs/sizes.yaml.")
@click.option("--model", help="Another base model: a Hub id or a folder.")
@click.option("--from-run", type=click.Path(), help="For kto: the SFT run to start from. Default: the newest finished.")
@option("--format", "form", type=click.Choice(FORMATS), default="native", help="How calls are written.")
@option("--tools-in-prompt", type=click.Choice(TOOLS_IN_PROMPT), default="none", help="What the prompt says of them.")
@option("--gpus", type=click.IntRange(min=1), default=1, help="GPUs to train on.")
@click.option(
    "--out", type=click.Path(path_type=Path), help="The folder. Default: build/outgrow/<engine>-<method>-<size>."
)
def main(engine, data, method, platform, size, model, from_run, form, tools_in_prompt, gpus, out):
    from lib import disk, outgrow

    settings = {"format": form, "tools_in_prompt": tools_in_prompt}
    plan = planned(method, (platform, size), settings, model, from_run, list(data) or [DEFAULT_DATA[method]], gpus)
    target = out or Path(f"build/outgrow/{engine}-{method}-{size}")
    target.parent.mkdir(parents=True, exist_ok=True)
    with disk.whole_folder(target) as part:
        if engine == "skypilot":
            outgrow.write_skypilot(plan, part, target)
        else:
            examples = [example for _, example in rows_of(plan)]
            if engine == "axolotl":
                outgrow.write_axolotl(plan, part, examples)
            else:
                outgrow.write_accelerate(plan, part, *trl_parts(plan, examples))
    log("Read NOTES.md first: how to start it, and what is not the same.")
    click.echo("\n".join(outgrow.listed(target)))


def planned(method, names, settings, model, from_run, data, gpus):
    """The Plan of a training on another machine, which this machine's GPUs and packages say nothing about."""
    from lib import outgrow, rules, runs
    from lib.templates import template_for
    from lib.training import adapter_folder

    size, config, _ = rules.valid_config(method, names, settings, None, model, {})
    template = template_for(config.tools_in_prompt, size.template) if size.template else None
    adapter = adapter_folder(runs.finished_run(from_run, "sft"), names[0]) if method == "kto" else None
    return outgrow.Plan(method, names[0], size, config, model or size.base, template, adapter, data, gpus)


def rows_of(plan):
    """The examples to train on, with their places."""
    from lib.training import check_labels
    from lib.training_rows import load_examples, spread

    examples = load_examples(plan.data)
    if plan.method == "sft":
        kept = [(place, example) for place, example in examples if example.label is not False]
        examples, _ = spread(kept, plan.config.rows_per_tool, plan.config.seed)
    check_labels(plan.method, [example for _, example in examples])
    return examples


def trl_parts(plan, examples):
    """(rows, script) for trl: our own tokens and masks for SFT, messages for KTO."""
    from importlib import import_module

    from lib import base_model, outgrow, templates, training_rows

    script = (templates.FOLDER / "train_trl.py.txt").read_text(encoding="utf-8")
    if plan.method == "kto":
        return outgrow.preference_rows(examples, plan.config.format), script
    load = import_module("lib.tokenizer_torch").load_tokenizer
    tokenizer = load(base_model.fetch(plan.base), plan.template, plan.config.tools_in_prompt)
    rows, _, _ = training_rows.render_rows([("", example) for example in examples], tokenizer, plan.config)
    return outgrow.pretokenized(training_rows.sft_rows(rows, plan.config)), script


if __name__ == "__main__":
    main()
