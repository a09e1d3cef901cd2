"""Test the prompt sets: right answers to every case must pass, and wrong answers of every kind must fail.

\b
    python -m scripts.lint_prompts
    python -m scripts.lint_prompts --prompts behaviour,mine.jsonl --show 20
    python -m scripts.lint_prompts --json > build/prompts.json

The answers are made from each case's gold plan and run in the vault simulator. Exit 1 when a set kills less than 99 %
of its wrong answers, a right answer fails, a case passes on doing nothing, or the checker falls over.
"""

import json

import click

from lib.cli import command, console, json_option, log, option, progress
from lib.errors import CannotRun


@command(help=__doc__)
@option("--prompts", default="", help="Sets or files, separated by commas. Default: all that are shipped.")
@option("--show", type=click.IntRange(min=0), default=5, help="Wrong answers that passed, to print for each set.")
@json_option
def main(prompts, show, as_json):
    from evaluator.cases import PROMPTS
    from evaluator.prompt_lint import lint
    from lib.toolset import load_toolset

    toolset = load_toolset()
    names = [name.strip() for name in prompts.split(",") if name.strip()]
    names = names or sorted(path.stem for path in PROMPTS.glob("*.jsonl"))
    sets = [(name, own_cases(name, toolset)) for name in names]
    reports = [lint(name, cases, toolset) for name, cases in progress(sets, desc="sets", unit="set")]
    if as_json:
        click.echo(json.dumps({report.name: as_dict(report) for report in reports}, ensure_ascii=False, indent=1))
    else:
        print_table(reports)
    for report in reports:
        tell(report, show)
    raise SystemExit(0 if all(report.good for report in reports) else 1)


def own_cases(name: str, toolset) -> list:
    """The cases of a set; CannotRun for questions that bring no gold plan."""
    from evaluator.bfcl import Question
    from evaluator.cases import load_cases

    cases = load_cases([name], toolset)
    if not cases or any(isinstance(case, Question) for case in cases):
        raise CannotRun(f"{name}: there are no cases with a gold plan in it, so no answers can be made from it.")
    return cases


def as_dict(report) -> dict:
    """A set's report, for programs."""
    return {
        "good": report.good,
        "cases": report.cases,
        "right_answers": report.right,
        "score": report.score,
        "killed": report.killed,
        "planted": report.planted,
        "operators": {name: vars(tally) for name, tally in sorted(report.cells.items())},
        "survivors": [dict(zip(("case", "operator", "calls"), entry, strict=True)) for entry in report.survivors],
        "vacuous": [dict(zip(("case", "operator"), entry, strict=True)) for entry in report.vacuous],
        "refused": [dict(zip(("case", "answer", "finding"), entry, strict=True)) for entry in report.refused],
        "crashes": [dict(zip(("case", "error"), entry, strict=True)) for entry in report.crashes],
    }


def print_table(reports: list) -> None:
    """One row an operator, one column a set: killed of planted, and in brackets those that change nothing."""
    from evaluator.reports import console_table

    rows = []
    for operator in sorted({name for report in reports for name in report.cells}):
        rows.append([operator, *[cell(report.cells.get(operator)) for report in reports]])
    rows.append(["all", *[f"{report.killed}/{report.planted}" for report in reports]])
    rows.append(["kill score", *[f"{int(report.score * 1000) / 10} %" for report in reports]])
    rows.append(["right answers", *[f"{report.right - len(report.refused)}/{report.right}" for report in reports]])
    rows.append(["cases", *[str(report.cases) for report in reports]])
    title = "Wrong answers that failed, of all; in brackets those that change nothing that counts"
    console(120).print(console_table(title, ["operator", *[report.name for report in reports]], rows))


def cell(tally) -> str:
    """ "12/12 (3)", or "-" where the operator fits no case."""
    if tally is None:
        return "-"
    return f"{tally.killed}/{tally.planted}" + (f" ({tally.equivalent})" if tally.equivalent else "")


def tell(report, show: int) -> None:
    """On stderr what is wrong with a set, case by case."""
    for case, error in report.crashes:
        log(f"{report.name}: {case}: the checker fell over: {error}")
    for case, answer, finding in report.refused:
        log(f"{report.name}: {case}: a right answer ({answer}) fails: {finding}")
    for case, operator in report.vacuous:
        log(f"{report.name}: {case}: vacuous: passes with {operator}")
    for case, operator, calls in report.survivors[:show]:
        log(f"{report.name}: {case}: passes with {operator}: {calls}")
    if len(report.survivors) > show:
        log(f"{report.name}: {len(report.survivors) - show} more wrong answers pass; see them with --show.")


if __name__ == "__main__":
    main()
