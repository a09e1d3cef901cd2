"""Measure how validate, interleave and dedup grow: files of 10,000, 100,000 and a million generated rows.

\b
    python -m scripts.bench_scale
    python -m scripts.bench_scale --rows 10000 --rows 100000 --workers 1
    python -m scripts.bench_scale dedup

Each command runs as a process of its own. Printed: seconds, rows a second, CPU seconds of all its processes, peak
memory of the largest one, bytes that a further row adds to it, and the exponent by which CPU time grows between two
sizes (1: linear), which does not depend on how busy the machine is. Exit 1 when an exponent, or the memory of a row,
is above its limit, or dedup misses what was planted.
"""

import itertools
import json
import math
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import click

from lib.cli import command, log, option, progress

EXPONENT = 1.15
# Bytes of memory that a further row may cost, and the command.
COMMANDS = {
    "validate": (20, ["scripts.validate", "{data}", "--quiet"]),
    "interleave": (160, ["scripts.interleave", "{data}", "--out", "{out}", "--json"]),
    "dedup": (60, ["scripts.dedup", "{data}", "--out", "{out}", "--json"]),
}
SAME, ALIKE = 40, 50  # every so many rows one repeats an earlier one, word for word or nearly
SYLLABLES = ("ba", "den", "fo", "gri", "hal", "kem", "lin", "mo", "nar", "po", "ques", "ri", "sol", "tum", "va", "wen")
VOCABULARY = ["".join(parts) for count in (2, 3) for parts in itertools.product(SYLLABLES, repeat=count)]
ASKS = (
    "What does {path} say about {topic}?",
    "Please read {path} to me, I need the part on {topic}.",
    "I wrote something on {topic} in {path}. Show me?",
    "open {path} and tell me if {topic} is in there",
)


@command(help=__doc__)
@click.argument("names", nargs=-1, type=click.Choice(list(COMMANDS)))
@option("--rows", type=click.IntRange(min=1000), multiple=True, default=(10_000, 100_000, 1_000_000), help="Sizes.")
@option("--workers", type=click.IntRange(min=1), default=os.cpu_count(), help="Processes of each command.")
def main(names, rows, workers):
    failed = []
    Path("build").mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="bench-scale-", dir="build") as folder:
        files = make_files(Path(folder), sorted(set(rows)))
        head = (
            f"{'':<11}{'rows':>10}{'MB':>8}{'s':>9}{'rows/s':>10}{'CPU s':>8}{'peak MB':>9}{'B/row':>7}{'exponent':>10}"
        )
        click.echo(head)
        for name in names or COMMANDS:
            (limit, line), before = COMMANDS[name], None
            for count, path in files.items():
                figures = measure(line, path, Path(folder) / "out.jsonl", workers)
                failed += print_figures(name, count, path, figures, before, limit)
                before = count, figures
                if name == "dedup":
                    failed += missed(count, figures["report"])
    for why in failed:
        log(f"Not met: {why}")
    raise SystemExit(1 if failed else 0)


def make_files(folder: Path, sizes: list[int]) -> dict[int, Path]:
    """size -> file; the smaller ones are the beginning of the largest."""
    files = {size: folder / f"{size}.jsonl" for size in sizes}
    handles = {size: open(path, "wb") for size, path in files.items()}  # noqa: SIM115
    for number in progress(range(sizes[-1]), desc="making rows", unit="row"):
        line = json.dumps(made_row(number)).encode() + b"\n"
        for size in sizes:
            if number < size:
                handles[size].write(line)
    for handle in handles.values():
        handle.close()
    return files


def made_row(number: int) -> dict:
    """A valid row of some 1.4 kB; every SAMEth repeats an earlier one, every ALIKEth but for one word of its note."""
    if number and number % SAME == 0:
        return made_row(number - 1)
    if number and number % ALIKE == 1:
        row = made_row(number - 1)
        row["conversations"][1]["content"] = row["conversations"][1]["content"].replace(" and ", " nor ", 1)
        return row
    rng = random.Random(number)

    def words(count):
        return rng.choices(VOCABULARY, k=count)

    topic, note = " ".join(words(2)), " ".join(words(6) + ["and"] + words(53))
    path = f"{words(1)[0].title()}/{' '.join(words(2)).title()}.md"
    context = {
        "sessionId": f"session_1762{number:09d}_k3x9a1b2c",
        "workspaceId": f"ws_1762{number:09d}_f5g6h7i8j",
        "sessionDescription": f"Looking after the notes on {topic}",
        "sessionMemory": f"The user asked about {topic}; {' '.join(words(4))} was read before.",
        "toolContext": f"The text of {path} has to be known first",
        "primaryGoal": f"Know what stands on {topic}",
        "subgoal": f"Read {path}",
    }
    arguments = {"context": context, "filePath": path, "limit": rng.randrange(10, 90), "offset": 1}
    result = {"success": True, "data": {"filePath": path, "content": note}}
    answer = (
        f"tool_call: contentManager_readContent\narguments: {json.dumps(arguments)}\n\nResult: {json.dumps(result)}\n\n"
        f"On {topic} it says: {' '.join(words(12))}."
    )
    asked = rng.choice(ASKS).format(path=path, topic=topic)
    turns = [{"role": "user", "content": asked}, {"role": "assistant", "content": answer}]
    return {"conversations": turns, "label": rng.random() < 0.5}


def measure(line: list[str], data: Path, out: Path, workers: int) -> dict:
    """{"seconds", "cpu" (seconds of all its processes), "peak" (bytes), "report" (the JSON it prints)} of a command."""
    filled = [part.format(data=data, out=out) for part in line]
    start = time.perf_counter()
    with subprocess.Popen(
        [sys.executable, "-m", *filled, "--workers", str(workers)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as process:
        text = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    seconds = time.perf_counter() - start
    if process.returncode:
        raise click.ClickException(f"{' '.join(filled)} ended with exit code {process.returncode}")
    scale = 1 if sys.platform == "darwin" else 1024
    report = json.loads(text) if text.strip() else {}
    cpu = usage.ru_utime + usage.ru_stime
    return {"seconds": seconds, "cpu": cpu, "peak": usage.ru_maxrss * scale, "report": report}


def print_figures(name, count, path, figures, before, limit) -> list[str]:
    """A line of the table; what of it is above its limit."""
    seconds, peak = figures["seconds"], figures["peak"]
    growth, each, found = "", "", []
    if before:
        smaller, earlier = before
        exponent = math.log(figures["cpu"] / earlier["cpu"]) / math.log(count / smaller)
        bytes_a_row = (peak - earlier["peak"]) / (count - smaller)
        growth, each = f"{exponent:.2f}", f"{bytes_a_row:.0f}"
        if exponent > EXPONENT:
            found.append(f"{name} grows with exponent {exponent:.2f} to {count} rows, limit {EXPONENT}")
        if bytes_a_row > limit and peak - earlier["peak"] > 32e6:  # less may be the allocator's
            found.append(f"{name} takes {bytes_a_row:.0f} bytes a row to {count} rows, limit {limit}")
    click.echo(
        f"{name:<11}{count:>10,}{path.stat().st_size / 1e6:>8.0f}{seconds:>9.1f}{count / seconds:>10,.0f}"
        f"{figures['cpu']:>8.1f}{peak / 1e6:>9.0f}{each:>7}{growth:>10}"
    )
    return found


def missed(count: int, report: dict) -> list[str]:
    """What dedup should have found among so many rows, and did not."""
    same = sum(number % SAME == 0 for number in range(1, count))
    alike = sum(number % ALIKE == 1 and number % SAME != 0 for number in range(1, count))
    if report["same"] == same and report["alike"] >= 0.9 * alike:
        return []
    return [f"dedup found {report['same']} of {same} equal rows and {report['alike']} of {alike} alike at {count} rows"]


if __name__ == "__main__":
    main()
