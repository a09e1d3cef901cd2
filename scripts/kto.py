"""Prefer good answers over bad ones: KTO from the newest finished SFT run, which is also the reference.

\b
    python -m scripts.kto --size tiny datasets/syngen_tools_kto.jsonl
    python -m scripts.kto --from-run runs/20261122_101500-sft-tiny --learning-rate 1e-6
    python -m scripts.kto --eval-only runs/20261122_104500-kto-tiny    # loss, KL and rewards on the rows, as JSON
"""

import json

import click

from lib.cli import command, log
from lib.training import evaluate, execute, prepare, training_options

DEFAULT_DATA = "datasets/syngen_tools_kto.jsonl"


@command(help=__doc__)
@click.argument("data", nargs=-1)
@click.option("--from-run", type=click.Path(), help="The SFT run to start from. Default: the newest finished one.")
@training_options("kto")
def main(data, from_run, run_file, **options):
    job = prepare("kto", options, list(data) or [DEFAULT_DATA], from_run)
    if job and job.evaluated:
        click.echo(json.dumps(evaluate(job), indent=1))
    elif job:
        run = execute(job, run_file)
        log(f"Finished. Next: make gguf RUN={run}")
        click.echo(run)


if __name__ == "__main__":
    main()
