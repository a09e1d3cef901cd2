"""Questions at a terminal: which finished run, and what else a target needs that was not given."""

import sys
from collections.abc import Callable
from pathlib import Path

import click

from lib import runs
from lib.cli import log
from lib.errors import CannotRun

MOST_SHOWN = 20
LOSSES = ("eval_loss", "train_loss", "kl", "rewards/margins")


def may_ask() -> bool:
    """Whether somebody sits there to answer."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def finished_runs() -> list[Path]:
    """All finished runs, the newest first."""
    return [run for run in sorted(runs.RUNS.glob("*-*-*"), reverse=True) if runs.is_finished(run)]


def ask_run(score: Callable[[Path], str]) -> Path:
    """The run that the user picks from a list with losses and scores; the newest is offered."""
    found = finished_runs()[:MOST_SHOWN]
    if not found:
        raise CannotRun("no finished run in runs/. Make one: make sft.")
    for number, run in enumerate(found, start=1):
        log(f"{number:>3}  {run.name:<36} {losses(run):<44} {score(run) or 'not evaluated'}")
    number = click.prompt("Which run?", type=click.IntRange(1, len(found)), default=1, err=True)
    return found[number - 1]


def losses(run: Path) -> str:
    """The run's final figures on one line."""
    done = runs.read_done(run)
    found = [(name, done.get(name)) for name in LOSSES]
    return ", ".join(f"{name} {value:.4g}" for name, value in found if isinstance(value, int | float))


def ask(question: str, default: str, choices: tuple[str, ...] = ()) -> str:
    """A text, or one of the choices."""
    kind = click.Choice(choices) if choices else str
    return click.prompt(question, default=default, type=kind, err=True)


def ask_yes(question: str, default: bool) -> bool:
    return click.confirm(question, default=default, err=True)
