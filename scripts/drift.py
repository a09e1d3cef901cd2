"""List the rows that a changed toolset breaks, and mend those that only need other names.

\b
    git show HEAD~1:configs/tools.json > build/old.json
    python -m scripts.drift --old build/old.json datasets/syngen_tools_sft.jsonl
    python -m scripts.drift --old build/old.json --out build/migrated.jsonl datasets/syngen_tools_sft.jsonl

A tool or parameter counts as renamed when everything else about it is equal. With --out the whole file is written,
mended rows in their places, broken ones left out; where FILE.proof.jsonl stands beside it, each mended row is run again
in the vault and its results are compared. Exit code 1 when a row stays broken.
"""

import json
from collections import Counter
from importlib import import_module
from pathlib import Path

import click

from lib.cli import command, json_option, log, option, progress


@command(help=__doc__)
@click.argument("data", type=click.Path(path_type=Path))
@click.option("--old", type=click.Path(path_type=Path), required=True, help="The toolset the rows were written for.")
@option("--new", type=click.Path(path_type=Path), default=Path("configs/tools.json"), help="The toolset of today.")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="Write the rows that hold today here.")
@option("--scenarios", type=click.Path(path_type=Path), default="datasets/scenarios", help="For running rows again.")
@json_option
@click.pass_context
def main(ctx, data, old, new, out, scenarios, as_json):
    drift, toolset = import_module("lib.drift"), import_module("lib.toolset")
    before, after = toolset.load_toolset(old), toolset.load_toolset(new)
    renames = drift.find_renames(before, after)
    rerun = runner(data, scenarios) if out else None
    report, rows = judge(data, (before, after, renames), rerun)
    if out:
        import_module("lib.jsonl").write_rows(out, rows)
    if as_json:
        click.echo(json.dumps(report, ensure_ascii=False, indent=1))
    else:
        show(report, data)
    ctx.exit(1 if report["broken"] else 0)


def judge(data: Path, toolsets: tuple, rerun) -> tuple[dict, list]:
    """(report, rows that hold today): every row read once, in its order."""
    chat, drift, jsonl = (import_module(f"lib.{name}") for name in ("chat", "drift", "jsonl"))
    old, new, renames = toolsets
    report = {"renamed": {"tools": renames.tools, "parameters": renames.parameters}, "rows": 0, "same": 0}
    report |= {"migrated": [], "broken": [], "differs": []}
    kept = []
    for number, (line, row) in enumerate(progress(jsonl.read_rows(data), desc=data.name, unit="row")):
        report["rows"] += 1
        broken = drift.check_row(line, chat.example_from_row(row)[0], old, new, renames)
        if broken is None:
            report["same"] += 1
            kept.append(row)
        elif broken.migrated is None:
            codes = [{"code": finding.code, "message": finding.message} for finding in broken.findings]
            report["broken"].append({"line": line, "findings": codes})
        else:
            report["migrated"].append(line)
            printed = chat.to_native_row if "messages" in row else chat.to_text_row
            kept.append(printed(broken.migrated))
            difference = rerun(number, broken.migrated) if rerun else None
            if difference:
                report["differs"].append({"line": line, "call": difference})
    return report, kept


def runner(data: Path, scenarios: Path):
    """A function that runs a migrated row again: None when all results are the row's own, else the first other call."""
    proofs_file = data.with_suffix(".proof.jsonl")
    if not proofs_file.is_file():
        log(f"{proofs_file} is not there: mended rows are not run again.")
        return None
    material = import_module("lib.synth.material").load_material(scenarios)
    worlds = import_module("lib.synth.rows").Worlds(material, material.quotas["seeds"])
    proofs = [proof for _, proof in import_module("lib.jsonl").read_rows(proofs_file)]
    return lambda number, example: first_difference(example, worlds, proofs[number])


def first_difference(example, worlds, proof: dict) -> str | None:
    """The name of the first call whose result is another one today."""
    chat, plans = import_module("lib.chat"), import_module("lib.synth.plans")
    calls = [(call.name, call.arguments) for call in example.calls]
    run = plans.run_calls(import_module("lib.synth.replay").start_vault(worlds, proof), calls)
    shown = [part.content for turn in example.turns for part in turn.parts if isinstance(part, chat.Result)]
    return next((step.tool for step, found in zip(run.steps, shown, strict=False) if step.result != found), None)


def show(report: dict, data: Path) -> None:
    """Renames and totals on stdout, each broken row with its first finding."""
    for old, new in report["renamed"]["tools"].items():
        click.echo(f"renamed: {old} -> {new}")
    for tool, keys in report["renamed"]["parameters"].items():
        for old, new in keys.items():
            click.echo(f"renamed: {tool} {old} -> {new}")
    for row in report["broken"]:
        click.echo(f"{data}:{row['line']}: {row['findings'][0]['code']}: {row['findings'][0]['message']}")
    for row in report["differs"]:
        click.echo(f"{data}:{row['line']}: {row['call']} answers otherwise today")
    codes = Counter(row["findings"][0]["code"] for row in report["broken"])
    click.echo(
        f"{report['rows']} rows: {report['same']} as before, {len(report['migrated'])} mended, "
        f"{len(report['broken'])} broken {dict(codes) or ''}".rstrip()
    )


if __name__ == "__main__":
    main()
