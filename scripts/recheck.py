"""Replay shipped rows in the vault simulator and compare every byte with what they say.

\b
    python -m scripts.recheck
    python -m scripts.recheck datasets/syngen_tools_kto.jsonl

Each FILE.jsonl needs its FILE.proof.jsonl beside it. Exit code 1 when a row differs.
"""

from importlib import import_module
from pathlib import Path

import click

from lib.cli import command, log, option, progress
from lib.errors import CannotRun

SHIPPED = ("datasets/syngen_tools_sft.jsonl", "datasets/syngen_tools_kto.jsonl")


@command(help=__doc__)
@click.argument("files", nargs=-1, type=click.Path(path_type=Path))
@option("--scenarios", type=click.Path(path_type=Path), default="datasets/scenarios", help="Folder of the material.")
@click.pass_context
def main(ctx, files, scenarios):
    material = import_module("lib.synth.material").load_material(scenarios)
    worlds = import_module("lib.synth.rows").Worlds(material, material.quotas["seeds"])
    wrong = sum(recheck(path, worlds) for path in files or map(Path, SHIPPED))
    ctx.exit(1 if wrong else 0)


def recheck(path, worlds):
    """The number of rows of one file that differ from their replay; each is printed."""
    jsonl = import_module("lib.jsonl")
    replay = import_module("lib.synth.replay").replay
    rows = list(jsonl.read_rows(path))
    proofs = [proof for _, proof in jsonl.read_rows(path.with_suffix(".proof.jsonl"))]
    if len(rows) != len(proofs):
        raise CannotRun(f"{path}: {len(rows)} rows but {len(proofs)} proofs. Rebuild both with: make datasets")
    wrong = 0
    for (number, row), proof in progress(zip(rows, proofs, strict=True), total=len(rows), desc=path.name):
        if proof.get("world") not in worlds.material.worlds:
            raise CannotRun(f"{path}:{number}: proved in world {proof.get('world')!r}, which is not in the material.")
        difference = replay(row, worlds, proof)
        if difference:
            wrong += 1
            click.echo(f"{path}:{number}: {difference[0]}: {difference[1]}")
    log(f"{path}: {len(rows) - wrong} of {len(rows)} rows replay to the same bytes")
    return wrong


if __name__ == "__main__":
    main()
