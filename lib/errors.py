"""The one exception for what a user can fix; everything else is a bug and keeps its traceback."""

import click


class CannotRun(click.ClickException):
    """Ends a command with exit code 2 and one sentence: what, where, what to do."""

    exit_code = 2
