"""Test the validator: plant every kind of fault in valid rows of every tool, and count what it catches.

\b
    python -m scripts.mutate
    python -m scripts.mutate datasets/syngen_tools_sft.jsonl --rows 1 --show 5
    python -m scripts.mutate --json > build/mutants.json

One line a fault, one column a tool: # all caught, 0 to 9 tenths caught, - not to be planted there. All rows of the
files, and harmless changes to some, must bring no problem. Exit 1 when less than 99 % of a fault's mutants are
caught, or a valid row brings a problem.
"""

import json
from pathlib import Path

import click

from lib.cli import command, json_option, log, option, progress
from lib.errors import CannotRun

SHIPPED = (Path("datasets/syngen_tools_sft.jsonl"), Path("datasets/syngen_tools_kto.jsonl"))


@command(help=__doc__)
@click.argument("files", nargs=-1, type=click.Path(path_type=Path))
@option("--rows", type=click.IntRange(min=1), default=2, help="Rows of each tool to plant faults in.")
@option("--show", type=click.IntRange(min=0), default=0, help="Uncaught mutants and false alarms to print in full.")
@json_option
def main(files, rows, show, as_json):
    from lib.mutants.matrix import whole_matrix
    from lib.mutants.seeds import choose_seeds
    from lib.toolset import load_toolset
    from lib.validation import check_lines

    toolset = load_toolset()
    examples = read_examples(files or SHIPPED)

    def check(line):
        return check_lines([line], 1, toolset).problems

    seeds = choose_seeds(examples, toolset, rows)
    if missing := [name for name, found in seeds.items() if not found]:
        raise CannotRun(f"no valid row calls {', '.join(missing)} with a good result and words after it. Add a file.")
    matrix = whole_matrix(examples, [seed for found in seeds.values() for seed in found], check, progress)
    report(matrix, list(toolset.tools), as_json, show)


def read_examples(files) -> list:
    """The examples of all rows; CannotRun for a row that cannot be read."""
    from lib.chat import example_from_row
    from lib.jsonl import read_rows

    examples = []
    for path in files:
        for number, row in read_rows(path):
            example, faults = example_from_row(row)
            if any(fault.severity == "error" for fault in faults):
                raise CannotRun(f"{path}:{number}: {faults[0].message}. Only valid rows can show what a fault changes.")
            examples.append(example)
    return examples


def report(matrix, tools: list[str], as_json: bool, show: int) -> None:
    """Print the matrix; exit 1 when an operator misses the limit or a valid row brought a problem."""
    from lib.mutants.matrix import ENOUGH, OPERATORS

    weak = [operator.name for operator in OPERATORS if (matrix.share(operator.name) or 0) < ENOUGH]
    if as_json:
        click.echo(json.dumps(as_dict(matrix, tools, weak), indent=1))
    else:
        print_matrix(matrix, tools)
    for operator, tool, line in matrix.survivors[:show]:
        log(f"not caught: {operator}, {tool}: {line.decode(errors='replace')}")
    for variant, line, problems in matrix.alarms[:show]:
        log(f"false alarm: {variant}: {problems[0].code}: {problems[0].message}: {line.decode(errors='replace')}")
    killed, planted = matrix.score()
    log(f"{killed} of {planted} mutants caught by {len(OPERATORS)} operators on {len(tools)} tools; "
        f"{len(matrix.alarms)} false alarms on {matrix.valid} valid rows")  # fmt: skip
    if weak:
        log(f"below {ENOUGH:.0%}: {', '.join(weak)}. See them with --show 10.")
    raise SystemExit(1 if weak or matrix.alarms else 0)


def as_dict(matrix, tools: list[str], weak: list[str]) -> dict:
    """The whole matrix, for programs."""
    from lib.mutants.matrix import OPERATORS

    def entry(**place):
        killed, planted = matrix.score(**place)
        return {"killed": killed, "planted": planted}

    return {
        "operators": {
            operator.name: {
                "section": operator.section,
                "codes": sorted(operator.codes),
                "severity": operator.severity,
                **entry(operator=operator.name),
                "tools": {tool: matrix.cells[operator.name, tool] for tool in tools},
            }
            for operator in OPERATORS
        },
        "tools": {tool: entry(tool=tool) for tool in tools},
        "below_limit": weak,
        "valid_rows": matrix.valid,
        "false_alarms": [
            {"variant": name, "codes": sorted({p.code for p in found})} for name, _, found in matrix.alarms
        ],
    }


def print_matrix(matrix, tools: list[str]) -> None:
    """One line an operator: its score, then one sign a tool; below it the score of every tool."""
    from lib.mutants.matrix import OPERATORS

    section = ""
    for operator in OPERATORS:
        if operator.section != section:
            section = operator.section
            click.echo(f"\n{section}")
        killed, planted = matrix.score(operator.name)
        signs = "".join(sign(*matrix.cells[operator.name, tool]) for tool in tools)
        click.echo(f"  {operator.name:<36}{killed:>6}/{planted:<6}{percent(killed, planted):>7}  {signs}")
    click.echo("\ncolumns, from left to right")
    for number, tool in enumerate(tools, start=1):
        killed, planted = matrix.score(tool=tool)
        click.echo(f"  {number:>2} {tool:<36}{killed:>6}/{planted:<6}{percent(killed, planted):>7}")


def sign(killed: int, planted: int) -> str:
    """One character for a cell."""
    return "-" if not planted else "#" if killed == planted else str(10 * killed // planted)


def percent(killed: int, planted: int) -> str:
    """The share with a digit, cut and not rounded; - for nothing planted."""
    return f"{1000 * killed // planted / 10:.1f} %" if planted else "-"


if __name__ == "__main__":
    main()
