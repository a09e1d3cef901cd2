"""Measure how long every command takes to print its --help, beside a bare `import click`.

\b
    python -m scripts.bench_startup

Exit 1 when the median of a command is above the limit.
"""

import statistics
import subprocess
import sys
import time
from pathlib import Path

import click

from lib.cli import command, option

LIMIT_S = 0.3


@command(help=__doc__)
@option("--rounds", type=click.IntRange(min=1), default=5, help="Measurements of each command.")
@click.pass_context
def main(ctx, rounds):
    commands = [f"scripts.{path.stem}" for path in sorted(Path("scripts").glob("*.py")) if path.stem != "__init__"]
    commands.append("evaluator")
    times = measure(commands, rounds)
    bare = times.pop("click alone")
    click.echo(f"{'click alone':<26} {bare:.3f} s")
    for name, seconds in times.items():
        click.echo(f"{name:<26} {seconds:.3f} s{'  above the limit' if seconds > LIMIT_S else ''}")
    slowest = max(times.values())
    click.echo(f"slowest --help {slowest:.3f} s, limit {LIMIT_S} s, {slowest / bare:.1f}x `import click`")
    ctx.exit(1 if slowest > LIMIT_S else 0)


def measure(commands, rounds):
    """Median seconds of each command's --help; the commands take turns, so that a busy moment hits them all."""
    lines = {"click alone": [sys.executable, "-c", "import click"]}
    lines |= {name: [sys.executable, "-m", name, "--help"] for name in commands}
    taken = {name: [] for name in lines}
    for number in range(rounds + 1):
        for name, line in lines.items():
            start = time.perf_counter()
            subprocess.run(line, check=True, stdout=subprocess.DEVNULL)
            if number:  # the first round fills the caches
                taken[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in taken.items()}


if __name__ == "__main__":
    main()
