"""lib/errors.py: what a user can fix ends in one sentence and exit code 2."""

import click
from click.testing import CliRunner

from lib.errors import CannotRun


def test_cannot_run_is_one_sentence_on_stderr_and_exit_code_2():
    @click.command()
    def main():
        raise CannotRun("no server at localhost:1. Start it with: serve")

    result = CliRunner().invoke(main)
    assert result.exit_code == 2
    assert result.stderr == "Error: no server at localhost:1. Start it with: serve\n"
    assert result.stdout == ""
