"""Let a teacher model write rows: it invents request, calls and goal; this project runs and judges every one.

\b
    python -m scripts.generate --model qwen3-32b --url http://127.0.0.1:8080/v1 --count 200
    python -m scripts.generate --model gpt-x --url https://host/v1 --price-in 0.4 --price-out 1.6 --budget 5
    python -m scripts.generate --model qwen3-32b --offline --json

Any server with /v1/chat/completions will do. Its key is TEACHER_API_KEY, else OPENAI_API_KEY, from the environment or
.env. Every answer is kept in the cassette: the same command again asks only what has no answer yet, also after a kill.
Kept rows and their proofs go to OUT and OUT.proof.jsonl (scripts.recheck replays them), rejects to OUT.rejects.jsonl.
Exit code 1 when the run was stopped early, a question had no answer, or no row held.
"""

import json
import os
from importlib import import_module
from pathlib import Path

import click

from lib.cli import command, console, json_option, log, option, progress
from lib.errors import CannotRun


@command(help=__doc__)
@click.option("--model", required=True, help="The teacher, by the name its server knows.")
@click.option("--url", default="", help="Where it is served, with or without /v1.")
@option("--count", type=click.IntRange(min=1), default=100, help="Rows to ask for; fewer will hold.")
@option("--out", type=click.Path(dir_okay=False, path_type=Path), default="build/taught.jsonl", help="File to write.")
@click.option("--tool", "tools", multiple=True, help="Ask for rows about this tool only; may be given again.")
@option("--seed", type=int, default=0, help="Another seed, other tasks.")
@option("--temperature", type=click.FloatRange(0, 2), default=0.9, help="Of the teacher.")
@option("--max-tokens", type=click.IntRange(min=1), default=1500, help="Of one answer; thinking models need more.")
@option("--parallel", type=click.IntRange(1, 64), default=4, help="Questions under way at once.")
@option("--timeout", type=click.FloatRange(min=1), default=180, help="Seconds for one answer.")
@option("--price-in", type=click.FloatRange(min=0), default=0, help="Price of a million prompt tokens.")
@option("--price-out", type=click.FloatRange(min=0), default=0, help="Price of a million answer tokens.")
@click.option("--budget", type=click.FloatRange(min=0), help="Stop before the call that could cost more than this.")
@option("--cassette", type=click.Path(file_okay=False, path_type=Path), default="build/teacher", help="Kept answers.")
@click.option("--offline", is_flag=True, help="Answer from the cassette alone, ask nobody.")
@option("--scenarios", type=click.Path(path_type=Path), default="datasets/scenarios", help="Folder of the material.")
@json_option
@click.pass_context
def main(ctx, count, out, parallel, as_json, cassette, **given):
    disk, harvester = import_module("lib.disk"), import_module("lib.synth.harvest")
    tasks, judge = plan(count, given["seed"], given["tools"], given["scenarios"], harvester.shipped_files(out))
    cassette.mkdir(parents=True, exist_ok=True)
    teacher = hire(cassette, given)
    with (
        disk.only_one(cassette, lambda: log(f"Another run uses {cassette}; waiting for it.")),
        progress(total=count, desc="asked", unit="row") as bar,
    ):

        def on_row(kept):
            bar.set_postfix_str(f"{kept} kept", refresh=False)
            bar.update()

        found = harvester.harvest(tasks, teacher, judge, parallel, on_row)
    if teacher.failed and not found.kept and not teacher.ledger.calls:
        raise CannotRun(f"{teacher.stopped}.")
    harvester.write_harvest(found, out, given["model"])
    report = {**found.to_dict(), "ledger": teacher.ledger.to_dict(), "stopped": teacher.stopped or None}
    report["out"] = str(out) if found.kept else None
    click.echo(json.dumps(report, ensure_ascii=False, indent=1)) if as_json else show(report, out)
    ctx.exit(0 if found.kept and found.complete() else 1)


def plan(count, seed, tools, scenarios, datasets):
    """(tasks, judge) of a run."""
    material = import_module("lib.synth.material").load_material(scenarios)
    toolset = import_module("lib.toolset").load_toolset()
    for name in tools:
        if name not in toolset.tools:
            hint = import_module("lib.findings").did_you_mean(name, toolset.tools)
            raise CannotRun(f"There is no tool {name}.{hint}")
    worlds = import_module("lib.synth.rows").Worlds(material, material.quotas["seeds"])
    tasks = import_module("lib.synth.tasks").make_tasks(worlds, toolset, tools or list(toolset.tools), count, seed)
    prompts = sorted(Path("evaluator/prompts").glob("*.jsonl"))
    return tasks, import_module("lib.synth.harvest").make_judge(material, toolset, datasets, prompts)


def hire(folder, given):
    """The teacher that the options describe."""
    teachers, cassettes = import_module("lib.teacher"), import_module("lib.cassette")
    settings = teachers.Settings(given["model"], given["temperature"], given["max_tokens"])
    if given["budget"] is not None and not (given["price_in"] or given["price_out"]):
        raise CannotRun("--budget needs --price-in and --price-out, or nobody knows what a call costs.")
    ledger = teachers.Ledger(given["price_in"], given["price_out"], given["budget"])
    cassette = cassettes.Cassette(folder)
    if given["offline"]:
        return teachers.Teacher(None, settings, cassette, ledger)
    if not given["url"]:
        raise CannotRun("Where is the teacher? Give --url (make: TEACHER_URL=), or --offline for kept answers alone.")
    key = import_module("lib.env").key_from(teachers.KEY_NAMES, os.environ)
    return teachers.make_teacher(given["url"], settings, cassette, ledger, key, given["timeout"])


def show(report, out):
    """The funnel on stdout; the bill and what stopped the run on stderr."""
    from rich.table import Table

    from lib.synth.harvest import STAGES

    table = Table("stage", "rows", "stopped before it (examples)", box=None, pad_edge=False)
    for stage, rows in report["stages"].items():
        lines = []
        for code in STAGES.get(stage, ()):
            if code in report["rejects"]:
                reject = report["rejects"][code]
                first = reject["examples"][0]
                lines.append(f"{code} {reject['count']} (row {first['row']}, {first['kind']}: {first['detail']})")
        table.add_row(stage, str(rows), "\n".join(lines))
    console(markup=False).print(table)
    bill = report["ledger"]
    money = f", cost {bill['spent']:g}" if bill["price_in"] or bill["price_out"] else ""
    log(
        f"{bill['calls']} calls, {bill['replayed']} answers from the cassette; "
        f"{bill['tokens_in']} tokens in, {bill['tokens_out']} out{money}"
    )
    if bill["unmetered"]:
        log(f"{bill['unmetered']} answers came without a count of tokens; theirs are estimated, rather too high")
    if report["stopped"]:
        log(f"Stopped: {report['stopped']}. {report['left']} rows were not asked. The same command goes on from here.")
    if report["out"]:
        click.echo(f"{report['stages']['kept']} rows in {out}, their proofs in {out.with_suffix('.proof.jsonl')}")
    else:
        click.echo("No row held, so none was written")


if __name__ == "__main__":
    main()
