"""Write the shipped datasets from the scenario material, and the proofs beside them.

\b
    python -m scripts.datasets
    python -m scripts.datasets --try datasets/scenarios/intents/contentManager.yaml
    python -m scripts.datasets --positives 100 --out /tmp/small

The same material gives the same bytes, on every machine and every day. Writes
syngen_tools_sft.jsonl, syngen_tools_kto.jsonl and a .proof.jsonl for each.
"""

import os
from importlib import import_module
from pathlib import Path

import click

from lib.cli import command, log, option, progress

SFT = "syngen_tools_sft"
KTO = "syngen_tools_kto"
TRIED = 40  # candidates of each intent with --try


@command(help=__doc__)
@option("--scenarios", type=click.Path(path_type=Path), default="datasets/scenarios", help="Folder of the material.")
@option("--out", type=click.Path(path_type=Path), default="datasets", help="Folder for the files.")
@option("--positives", type=click.IntRange(min=1), default=None, help="Rows of the SFT set instead of quotas.yaml's.")
@option("--try", "tried", type=click.Path(exists=True, path_type=Path), default=None,
        help="Show what becomes of this intent file; writes nothing.")  # fmt: skip
@option("--show", type=click.IntRange(min=0), default=2, help="Rows to print for each intent with --try.")
@option("--workers", type=click.IntRange(min=1), default=os.cpu_count() or 1, show_default="one for each core",
        help="Processes; the files do not depend on it.")  # fmt: skip
@click.pass_context
def main(ctx, scenarios, out, positives, tried, show, workers):
    material_module = import_module("lib.synth.material")
    material = material_module.load_material(scenarios)
    if positives:
        scale_quotas(material.quotas, positives)
    if tried:
        ctx.exit(try_file(material_module, material, tried, show))
    write_datasets(material, out, workers)


def scale_quotas(quotas, positives):
    """Sets the rows of the SFT set, and those of the KTO set in proportion."""
    factor = positives / quotas["positives"]
    for name in ("kto_positives", "kto_negatives"):
        quotas[name] = quotas.get(name) and round(quotas[name] * factor)
    quotas["positives"] = positives


def write_datasets(material, out, workers):
    """Build and write both sets with their proofs; the funnel goes to stderr."""
    builder = import_module("lib.synth.build")
    jsonl = import_module("lib.jsonl")
    report = import_module("lib.synth.report")
    funnel = import_module("lib.synth.workshop").Funnel()
    built = builder.build(material, funnel, progress, workers)
    for name, labelled in ((SFT, built.sft), (KTO, built.kto)):
        pairs = built.rows(labelled)
        jsonl.write_rows(out / f"{name}.jsonl", (row for row, _ in pairs))
        jsonl.write_rows(out / f"{name}.proof.jsonl", (proof for _, proof in pairs))
    report.print_build(material, funnel, built)
    click.echo(f"{len(built.sft)} rows in {out / SFT}.jsonl, {len(built.kto)} in {out / KTO}.jsonl")


def try_file(material_module, material, path, show):
    """Print what the intents of one file yield; 1 when one of them yields nothing."""
    builder = import_module("lib.synth.build")
    report = import_module("lib.synth.report")
    intents = tuple(material_module.read_intents(path))
    alone = material_module.Material(material.worlds, intents, material.words, material.quotas)
    funnel = import_module("lib.synth.workshop").Funnel()
    candidates = builder.make_candidates(alone, funnel, TRIED, progress)
    report.print_trial(intents, candidates, funnel, show)
    log(f"{len(candidates)} candidates from {len(intents)} intents")
    return 0 if all(funnel.by_intent[intent.id]["made"] for intent in intents) else 1


if __name__ == "__main__":
    main()
