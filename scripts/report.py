"""Write the reports of a run again: the page of its training, and Markdown, HTML and JUnit of its evaluation.

\b
    python -m scripts.report runs/20261122_101500-sft-tiny
    python -m scripts.report runs/20261122_101500-sft-tiny runs/20261122_104500-kto-tiny --page build/both.html
    python -m scripts.report build/eval/base
    python -m scripts.report build/eval/base build/eval/sft build/eval/kto --page build/eval/three.html

Of several runs the trainings come on one page and the evaluations on another, side by side, what changed first.
"""

from pathlib import Path

import click

from lib.cli import command, log
from lib.errors import CannotRun


@command(help=__doc__)
@click.argument("places", nargs=-1, metavar="[RUN|EVALUATION]...", type=click.Path(path_type=Path))
@click.option("--page", "target", type=click.Path(path_type=Path), help="The page of several, instead of "
              "build/training.html for trainings or build/eval/side-by-side.html for evaluations.")  # fmt: skip
def main(places, target):
    from evaluator.results import evaluations
    from lib.runs import finished_run

    places = list(places) or [finished_run("")]
    trained = [place for place in places if is_training(place)]
    evaluated = [place for place in places if place.is_file() or evaluations(place)]
    if lost := [place for place in places if place not in trained and place not in evaluated]:
        raise CannotRun(f"{lost[0]}: neither a run with a log nor an evaluation. Name runs/<name>.")
    if trained:
        write_training_page(trained, target or Path("build/training.html"))
    if evaluated:
        from evaluator.files import report_on

        report_on(evaluated, target if target and not trained else Path("build/eval/side-by-side.html"))
    log("Open it in a browser; it needs no network.")


def is_training(place: Path) -> bool:
    """Whether the place is a run that has begun to train."""
    from lib.run_figures import LATEST, find_run

    try:
        return (find_run(place) / LATEST).is_file()
    except CannotRun:
        return False


def write_training_page(places: list[Path], target: Path) -> None:
    """The page of one run into the run, that of several to the target; its path on stdout."""
    from lib.jsonl import write_text
    from lib.run_figures import find_run, read_run
    from lib.training_page import page

    path = target if len(places) > 1 else find_run(places[0]) / "training.html"
    write_text(path, page([read_run(place) for place in places]))
    click.echo(path)


if __name__ == "__main__":
    main()
