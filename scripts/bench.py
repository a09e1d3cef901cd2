"""Run the benchmarks one after the other; each prints our figure, the plain way's, and their ratio.

\b
    python -m scripts.bench
    python -m scripts.bench startup validate

NAMES are those of scripts/bench_NAME.py. Exit 1 when one of them misses its limit.
"""

import subprocess
import sys
import time
from pathlib import Path

import click

from lib.cli import command, log
from lib.errors import CannotRun


@command(help=__doc__)
@click.argument("names", nargs=-1)
@click.pass_context
def main(ctx, names):
    there = [path.stem.removeprefix("bench_") for path in sorted(Path("scripts").glob("bench_*.py"))]
    unknown = [name for name in names if name not in there]
    if unknown:
        raise CannotRun(f"no benchmark named {', '.join(unknown)}; there are: {', '.join(there)}.")
    codes = {}
    for name in names or there:
        click.echo(f"== {name}")
        sys.stdout.flush()
        start = time.perf_counter()
        codes[name] = subprocess.run([sys.executable, "-m", f"scripts.bench_{name}"]).returncode
        log(f"{name}: {time.perf_counter() - start:.0f} s")
    bad = {name: code for name, code in codes.items() if code}
    if bad:
        log("Not met: " + ", ".join(f"{name} (exit {code})" for name, code in bad.items()))
    ctx.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
