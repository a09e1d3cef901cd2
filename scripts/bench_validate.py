"""Compare our validation with merely parsing the same rows, on one core.

The yardstick parses every line and the JSON of every call's arguments with orjson, and nothing else; where the
arguments start is found beforehand and costs it no time. Both run in turn on a generated file of typical rows.

\b
    python -m scripts.bench_validate
    python -m scripts.bench_validate --rows 50000 --rounds 9
"""

import random
import statistics
import time

import click

from lib.cli import command, option

PLACES = ("Projects/Garden/Plan.md", "Reading/2025/Notes on Bees.md", "Work/Team/Retro, week 12.md", "Café/Menü.md")
ASKS = (
    "Could you have a look at {} and tell me what is in it?",
    "Put the shopping list at the end of {}, please.",
    "I need {} moved into the archive.",
    "Where did I write about the budget? I think it was {}.",
)
RATIO_TARGET = 6


def sample_row(rng: random.Random) -> dict:
    """One typical row: a request, one or two calls with their results, a closing sentence."""
    from lib.chat import Call, Example, Result, Text, Turn, to_text_row

    def digits(letters, count):
        return "".join(rng.choices(letters, k=count))

    def call(path):
        base36 = "abcdefghijklmnopqrstuvwxyz0123456789"
        context = {
            "sessionId": f"session_17{digits('0123456789', 11)}_{digits(base36, 9)}",
            "workspaceId": f"ws_17{digits('0123456789', 11)}_{digits(base36, 9)}",
            "sessionDescription": "Sorting the notes of the spring",
            "sessionMemory": f"The user asked about {path}; nothing has been changed so far.",
            "toolContext": "The text is needed before anything can be said about it.",
            "primaryGoal": "Keep the vault in order",
            "subgoal": f"Work on {path}",
        }
        name, arguments, data = rng.choice(
            [
                ("contentManager_readContent", {"filePath": path, "limit": 40, "offset": 1}, {"content": ITEMS * 6}),
                ("contentManager_appendContent", {"filePath": path, "content": ITEMS * 3}, {"appendedLength": 90}),
                ("vaultLibrarian_searchContent", {"query": "budget", "limit": 10, "paths": ["Work"]}, {"results": []}),
                ("vaultManager_moveNote", {"path": path, "newPath": f"Archive/{path}", "overwrite": False}, {}),
            ]
        )
        return [
            Call(name, {"context": context, **arguments}),
            Result({"success": True, "data": {"filePath": path, **data}}),
        ]

    path = rng.choice(PLACES)
    parts = [part for _ in range(rng.choice((1, 1, 2))) for part in call(path)]
    answer = Turn("assistant", (*parts, Text(f'Done. "{path}" is as you wanted it; say so if anything is missing.')))
    ask = Turn("user", (Text(rng.choice(ASKS).format(path)),))
    return to_text_row(Example((ask, answer), label=rng.random() < 0.7))


ITEMS = '- milk\n- bread, "the dark one"\n- 3 apples\n'


def best_ratio(lines: list[bytes], rounds: int) -> tuple[float, float, float]:
    """(ratio of medians, seconds to validate, seconds to parse); CPU time, rounds alternate."""
    import orjson

    from lib.chat import dump_arguments, example_from_row
    from lib.toolset import load_toolset
    from lib.validation import check_lines

    toolset = load_toolset()
    calls = [dump_arguments(call.arguments) for line in lines for call in example_from_row(orjson.loads(line))[0].calls]
    checked, parsed = [], []
    for _ in range(rounds):
        start = time.process_time()
        for line in lines:
            orjson.loads(line)
        for call in calls:
            orjson.loads(call)
        parsed.append(time.process_time() - start)
        start = time.process_time()
        report = check_lines(lines, 1, toolset)
        checked.append(time.process_time() - start)
        if report.problems:
            raise click.ClickException(f"the generated rows have problems: {report.problems[0]}")
    return statistics.median(checked) / statistics.median(parsed), statistics.median(checked), statistics.median(parsed)


@command(help=__doc__)
@option("--rows", type=click.IntRange(min=100), default=20000, help="Rows in the generated file.")
@option("--rounds", type=click.IntRange(min=1), default=7, help="Timed runs of each side.")
def main(rows, rounds):
    import json

    rng = random.Random(7)
    made = [sample_row(rng) for _ in range(rows)]
    lines = [json.dumps(row, ensure_ascii=False).encode() for row in made]
    megabytes = sum(map(len, lines)) / 1e6
    ratio, checked, parsed = best_ratio(lines, rounds)
    click.echo(f"rows {rows}, {megabytes:.1f} MB, one core, median of {rounds} alternating runs")
    click.echo(f"orjson alone  {parsed:7.3f} s  {megabytes / parsed:7.1f} MB/s")
    click.echo(f"validate      {checked:7.3f} s  {megabytes / checked:7.1f} MB/s  {rows / checked:,.0f} rows/s")
    click.echo(f"ratio         {ratio:7.2f}    (target: at most {RATIO_TARGET})")
    raise SystemExit(0 if ratio <= RATIO_TARGET else 1)


if __name__ == "__main__":
    main()
