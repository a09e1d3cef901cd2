"""What the scripts share: talk on stderr, progress bars, options, and exit codes for what went wrong."""

import errno
import functools
import os
import sys

import click

from lib.env import load_env
from lib.errors import CannotRun
from lib.ranks import is_first

INTERRUPTED = 130  # 128 + SIGINT, as a shell reports it
BROKEN_PIPE = 141  # 128 + SIGPIPE
NOT_YOURS = " Give yourself the right to it (ls -l shows whose it is), or name another place."
# What to do about a system error, where it is always the same.
REMEDIES = {
    errno.EROFS: " Choose a folder that you may write; of the cache XDG_CACHE_HOME says where it lies.",
    errno.EACCES: NOT_YOURS,
    errno.EPERM: NOT_YOURS,
    errno.ENOSPC: " Free some space, then give the same command again.",
    errno.EDQUOT: " Free some of your quota, then give the same command again.",
    errno.EMFILE: " Allow more open files: ulimit -n 4096.",
}


def log(text: str) -> None:
    """One line on stderr; stdout is for results. Of several training processes only the first talks."""
    if is_first():
        click.echo(text, err=True)


def progress(iterable=None, total=None, desc="", unit="it"):
    """A tqdm bar on stderr, absent when stderr is no terminal."""
    from tqdm import tqdm

    return tqdm(
        iterable,
        total=total,
        desc=desc,
        unit=unit,
        unit_scale=unit == "B",
        file=sys.stderr,
        disable=not sys.stderr.isatty(),
        leave=False,
    )


def console(width: int = 160, **settings):
    """A rich console on stdout; a file or a pipe has no width of its own and gets the one given."""
    from rich.console import Console

    return Console(width=None if sys.stdout.isatty() else width, highlight=False, **settings)


class Command(click.Command):
    """A click command whose failures end in a sentence and a stable exit code."""

    def invoke(self, ctx: click.Context):
        load_env()
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            log("Interrupted.")
            ctx.exit(INTERRUPTED)
        except BrokenPipeError:
            # The reader (`| head`) has gone; the interpreter's own flush at exit would complain again.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            ctx.exit(BROKEN_PIPE)
        except OSError as error:
            where = f"{error.filename}: " if error.filename else ""
            raise CannotRun(f"{where}{error.strerror or error}.{REMEDIES.get(error.errno, '')}") from error


def command(function=None, **settings):
    """click.command with this project's exit codes; the module docstring serves as help when given as help=__doc__."""
    settings.setdefault("cls", Command)
    settings.setdefault("context_settings", {"help_option_names": ["-h", "--help"], "max_content_width": 100})
    return click.command(**settings) if function is None else click.command(**settings)(function)


def option(*names, **settings):
    """A click option whose help shows its default."""
    settings.setdefault("show_default", True)
    return click.option(*names, **settings)


json_option = functools.partial(
    click.option, "--json", "as_json", is_flag=True, help="Write the result to stdout as JSON, for programs."
)()
yes_option = functools.partial(click.option, "--yes", is_flag=True, envvar="YES", help="Start without asking.")()
workers_option = functools.partial(
    click.option,
    "--workers",
    type=click.IntRange(min=1),
    help="Processes to use. Default: one for every 64 MB, at most one a core.",
)()
