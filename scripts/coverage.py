"""Count what datasets cover: examples and calls per tool, agent, parameter, enum value and boolean.

\b
    python -m scripts.coverage datasets/syngen_tools_sft.jsonl
    python -m scripts.coverage datasets/*.jsonl --floor 12
    python -m scripts.coverage datasets/*.jsonl --json

With --floor N the exit code is 1 when a tool has fewer than N examples that are not labelled false.
"""

import json
from pathlib import Path

import click

from lib.cli import command, console, json_option, log, option, progress


@command(help=__doc__)
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@option("--floor", type=click.IntRange(min=1), help="Fail when a tool has fewer positive examples than this.")
@option(
    "--details", is_flag=True, help="Also list the parameters, enum values and booleans that no positive call uses."
)
@json_option
@option("--tools", type=click.Path(path_type=Path), default=Path("configs/tools.json"), help="The tool schemas.")
def main(files, floor, details, as_json, tools):
    from lib.chat import example_from_row
    from lib.coverage import Coverage
    from lib.jsonl import read_rows
    from lib.toolset import load_toolset

    coverage = Coverage(load_toolset(tools))
    faulty = 0
    for path in files:
        for _, row in progress(read_rows(path), desc=str(path), unit="row"):
            example, faults = example_from_row(row)
            faulty += any(fault.severity == "error" for fault in faults)
            coverage.add(example)
    if faulty:
        log(f"{faulty} rows have faults and may be counted short; see: python -m scripts.validate {files[0]}")
    below = coverage.below(floor) if floor else {}
    if as_json:
        result = coverage.to_dict()
        if floor:
            result |= {"floor": floor, "below": below}
        click.echo(json.dumps(result, ensure_ascii=False, indent=1))
    else:
        print_tables(coverage, floor or 0, details)
    if below:
        log(f"{len(below)} tools have fewer than {floor} positive examples: {', '.join(below)}")
    raise SystemExit(1 if below else 0)


def print_tables(coverage, floor: int, details: bool) -> None:
    """Label balance, agents, tools and, on request, everything unused."""
    from rich.table import Table

    total = sum(coverage.examples.values())
    calls = sum(coverage.tool_calls.values())
    labels = ", ".join(f"{coverage.examples[label]} {label}" for label in ("true", "false", "none"))
    per_example = ", ".join(
        f"{count}: {coverage.calls_per_example[count]}" for count in sorted(coverage.calls_per_example)
    )
    click.echo(f"{total} examples ({labels}), {calls} calls\nexamples by number of calls: {per_example}\n")
    table = Table("tool", box=None, pad_edge=False)
    for heading in ("examples +", "examples -", "calls +", "calls -", "parameters", "values"):
        table.add_column(heading, justify="right")
    for agent, names in coverage.toolset.agents.items():
        table.add_row(f"[bold]{agent}[/bold]", *agent_counts(coverage, names))
        for name in names:
            style = "red" if coverage.positives(name) < floor else ""
            table.add_row(f"  {name}", *tool_counts(coverage, name), style=style)
    console(120).print(table)
    unknown = coverage.unknown_tools()
    if unknown:
        shown = ", ".join(f"{ascii(name)[1:-1]} {count}" for name, count in list(unknown.items())[:10])
        click.echo(f"\n{sum(unknown.values())} calls of {len(unknown)} tools that do not exist: {shown}")
    parameters, values = coverage.missing_parameters(), coverage.missing_values()
    click.echo(f"\nin no positive call: {len(parameters)} parameters, {len(values)} enum values and booleans")
    if details:
        for name, place in parameters:
            click.echo(f"  {name} {place}")
        for name, place, value in values:
            click.echo(f"  {name} {place} = {json.dumps(value)}")


def tool_counts(coverage, name: str) -> list[str]:
    positive_calls = coverage.tool_calls[name, "true"] + coverage.tool_calls[name, "none"]
    places = coverage.places[name]
    used = sum(bool(coverage.parameters[name, place]) for place in places)
    values = [(place, value) for place, known in places.items() for value in known]
    given = sum(bool(coverage.values[name, place, value]) for place, value in values)
    counts = (coverage.positives(name), coverage.tool_examples[name, "false"], positive_calls)
    return [
        *map(str, counts),
        str(coverage.tool_calls[name, "false"]),
        f"{used}/{len(places)}",
        f"{given}/{len(values)}",
    ]


def agent_counts(coverage, names: list[str]) -> list[str]:
    positive = sum(coverage.tool_calls[name, label] for name in names for label in ("true", "none"))
    return ["", "", str(positive), str(sum(coverage.tool_calls[name, "false"] for name in names)), "", ""]


if __name__ == "__main__":
    main()
