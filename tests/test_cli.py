"""lib/cli.py: exit codes, talk on stderr, shared options."""

import errno
import subprocess
import sys

import click
import pytest
from click.testing import CliRunner

from lib import cli


def run(function, *args):
    return CliRunner().invoke(cli.command(function), args)


def test_interrupt_ends_with_130_and_a_word_on_stderr():
    def main():
        raise KeyboardInterrupt

    result = run(main)
    assert (result.exit_code, result.stderr, result.stdout) == (130, "Interrupted.\n", "")


@pytest.mark.parametrize(
    "code, remedy",
    [
        (errno.ENOSPC, " Free some space"),
        (errno.EACCES, " Give yourself"),
        (errno.EROFS, " Choose a folder"),
        (999, ""),
    ],
)
def test_system_errors_end_with_2_name_the_file_and_what_to_do(code, remedy):
    def main():
        raise OSError(code, "sorry", "some/file")

    result = run(main)
    assert result.exit_code == 2
    assert result.stderr.startswith(f"Error: some/file: sorry.{remedy}")
    assert len(result.stderr.splitlines()) == 1 and (remedy or result.stderr == "Error: some/file: sorry.\n")


def test_a_bug_keeps_its_traceback():
    def main():
        raise KeyError("bug")

    assert isinstance(run(main).exception, KeyError)


def test_a_reader_that_leaves_ends_the_command_quietly():
    code = (
        "from lib.cli import command\n"
        "import click\n"
        "@command\n"
        "def main():\n"
        "    while True: click.echo('x' * 10000)\n"
        "main()\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.read(1)
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait() == 141


def test_log_goes_to_stderr():
    def main():
        cli.log("talk")
        click.echo("result")

    result = run(main)
    assert (result.stdout, result.stderr) == ("result\n", "talk\n")


def test_progress_is_silent_without_a_terminal(capsys):
    assert list(cli.progress(range(3), desc="work")) == [0, 1, 2]
    assert capsys.readouterr() == ("", "")


def test_shared_options_arrive_under_their_names():
    @cli.json_option
    @cli.yes_option
    @cli.option("--count", default=3, help="How many.")
    def main(as_json, yes, count):
        click.echo(f"{as_json} {yes} {count}")

    command = cli.command(main)
    assert CliRunner().invoke(command, ["--json", "--yes"]).stdout == "True True 3\n"
    assert "[default: 3]" in CliRunner().invoke(command, ["-h"]).stdout


def test_yes_is_read_from_the_environment():
    @cli.yes_option
    def main(yes):
        click.echo(yes)

    assert CliRunner().invoke(cli.command(main), env={"YES": "1"}).stdout == "True\n"
