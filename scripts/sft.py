"""Teach the tool calls: supervised fine-tuning of a LoRA adapter on the rows labelled true.

\b
    python -m scripts.sft --size tiny datasets/syngen_tools_sft.jsonl
    python -m scripts.sft --size 7b --platform cuda --epochs 2 --yes
    python -m scripts.sft --eval-only runs/20261122_101500-sft-tiny    # its loss on the held-out rows, as JSON
"""

import json

import click

from lib.cli import command, log
from lib.training import evaluate, execute, prepare, training_options

DEFAULT_DATA = "datasets/syngen_tools_sft.jsonl"


@command(help=__doc__)
@click.argument("data", nargs=-1)
@training_options("sft")
def main(data, run_file, **options):
    job = prepare("sft", options, list(data) or [DEFAULT_DATA])
    if job and job.evaluated:
        click.echo(json.dumps(evaluate(job), indent=1))
    elif job:
        run = execute(job, run_file)
        log(f"Finished. Next: make kto, or make gguf RUN={run}")
        click.echo(run)


if __name__ == "__main__":
    main()
