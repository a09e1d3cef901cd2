"""Write the reports of an evaluation again, or put several on one page, side by side.

\b
    python -m evaluator.report runs/20251122_090000-sft-tiny
    python -m evaluator.report build/eval/base build/eval/sft build/eval/kto --page build/eval/three.html

One result (by default the newest finished run's): report.md, report.html and junit.xml beside its results.json.
Several: one page, what changed first.
"""

from pathlib import Path

import click

from lib.cli import command, option


@command(help=__doc__)
@click.argument("results", nargs=-1, metavar="[RESULT]...", type=click.Path(path_type=Path))
@option("--page", "target", type=click.Path(path_type=Path), default="build/eval/side-by-side.html", help="The page.")
def main(results, target):
    """Reads, writes, names the files; the work is in evaluator.page."""
    from evaluator.files import report_on
    from lib.runs import finished_run

    report_on(results or [finished_run("")], target)


if __name__ == "__main__":
    main(prog_name="python -m evaluator.report")
