"""One table from base to smallest quant: base, SFT, KTO, Q8_0, Q5_K_M, Q4_K_M, each against the step before.

\b
    python -m evaluator.ladder                                        # the newest finished run
    python -m evaluator.ladder --run runs/20251122_110000-kto-tiny --json
    python -m evaluator.ladder build/eval/old build/eval/new          # results that are there, in this order

What is there is evaluated, unless its result still holds; what is missing is named with the command that makes it.
"""

import json
from pathlib import Path

import click

from lib.cli import command, console, json_option, log, option
from lib.errors import CannotRun


@command(help=__doc__)
@click.argument("results", nargs=-1, type=click.Path(path_type=Path))
@option("--run", "run_name", default="", help="A KTO run, or an SFT run. Default: the newest finished one.")
@option("--prompts", default="full_coverage", help="Prompt sets or .jsonl files, separated by commas.")
@option("--format", "form", type=click.Choice(["native", "text"]), help="How calls are written. Default: as trained.")
@click.option("--resume", is_flag=True, help="Go on with an interrupted evaluation.")
@option("--out", type=click.Path(path_type=Path), default="build/eval/ladder.md", help="The table; beside it a page.")
@click.option("--failures", "rows_to", type=click.Path(path_type=Path), help="Write failed attempts as KTO rows,")
@click.option("--held-back", multiple=True, help="... those of this prompt set, which is for training, not measuring.")
@json_option
def main(results, run_name, prompts, form, resume, out, rows_to, held_back, as_json):
    """Evaluates, compares, prints; the work is in evaluator.rungs."""
    from evaluator.comparison import differing
    from evaluator.page import page
    from evaluator.results import read_result, result_file
    from evaluator.rungs import as_markdown, climbed
    from lib.jsonl import write_text

    found, missing = {place: "" for place in results}, []
    if not results:
        found, missing = evaluated(run_name, prompts, form, resume)
    read = [read_result(place) | ({"label": label} if label else {}) for place, label in found.items()]
    steps, warnings = climbed(read), differing(read)
    for warning in warnings:
        log(f"Warning: {warning}")
    write_text(out, as_markdown(steps, warnings, missing))
    write_text(out.with_suffix(".html"), page(read))
    exported = export(read, rows_to, held_back) if rows_to else None
    if as_json:
        show_json(steps, [str(result_file(place)) for place in found], missing, exported)
    else:
        show(steps, missing)
    log(f"Written: {out}, {out.with_suffix('.html')}")


def evaluated(run_name: str, prompts: str, form: str | None, resume: bool) -> tuple[dict[Path, str], list]:
    """(evaluation folder -> label of each step whose model file is there, the steps without one)."""
    from evaluator.reuse import call, evaluation, is_current, place_of
    from evaluator.rungs import rungs_of
    from lib.runs import finished_run, read_manifest

    run = finished_run(run_name)
    form = form or read_manifest(run)["settings"]["format"]
    steps = rungs_of(run)
    missing = [step for step in steps if not step.gguf]
    if len(missing) == len(steps):
        raise CannotRun(f"No model file of {run} is there. Make them with: {steps[1].make}")
    found = {}
    for step in steps:
        if not step.gguf:
            continue
        place = place_of(step.gguf, form)
        if is_current(place / "results.json", step.gguf, prompts):
            log(f"{step.label}: {place} still holds.")
        else:
            log(f"{step.label}: asking {step.gguf}")
            line = evaluation(step.label, step.gguf, form, prompts, resume)
            # Its own tables would stand between us and a program that reads our stdout.
            code, _ = call(line, True, "Go on with: make ladder RESUME=1")
            if code:
                raise CannotRun(f"The evaluation of {step.label} failed with exit code {code}; its words stand above.")
        found[place] = step.label
    return found, missing


def export(results: list[dict], path: Path, held_back: tuple[str, ...]) -> dict:
    """Writes the failed attempts that may be trained on, and says what was left out and why."""
    from evaluator.failures import failures
    from lib.jsonl import write_rows
    from lib.toolset import load_toolset

    found = failures(results, load_toolset(), held_back)
    if found.measured:
        log(
            f"{len(found.measured)} failed attempts are not exported: a model trained on the prompts that it is "
            "measured with cannot be measured with them any more. Keep a set of your own for training, and name it: "
            "make ladder PROMPTS=practice.jsonl OUT=rows.jsonl LADDER_ARGS='--held-back practice'"
        )
    if found.leaks:
        log(f"{len(found.leaks)} failed attempts are not exported: they ask what an evaluation asks, or nearly.")
    if found.broken:
        log(f"{len(found.broken)} failed attempts are no rows (broken JSON, or no words at all).")
    if found.rows:
        write_rows(path, found.rows)
        log(f"Written: {path}, {len(found.rows)} rows with label false.")
    else:
        log(f"Nothing to export, so {path} was not written.")
    return {"rows": len(found.rows), "measured": found.measured, "leaks": found.leaks, "broken": found.broken}


def show(steps: list[dict], missing: list) -> None:
    """The table on stdout, then what is missing."""
    from evaluator.reports import console_table
    from evaluator.rungs import HEAD

    console().print(console_table("Same prompts for every step", HEAD, [step["row"] for step in steps]))
    for step in missing:
        click.echo(f"{step.label} is missing; make it with: {step.make}")


def show_json(steps: list[dict], places: list[str], missing: list, exported: dict | None) -> None:
    """The same for programs."""
    rungs = [
        {"label": step["label"], "results": place, "says": step["row"][-1], "step": step["step"]}
        for step, place in zip(steps, places, strict=True)
    ]
    lacking = [{"label": step.label, "make": step.make} for step in missing]
    click.echo(json.dumps({"rungs": rungs, "missing": lacking, "failures": exported}, ensure_ascii=False))


if __name__ == "__main__":
    main(prog_name="python -m evaluator.ladder")
