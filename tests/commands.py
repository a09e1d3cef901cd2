"""Commands run in this process, as a shell would see them."""

from click.testing import CliRunner


def outcome(command, *arguments):
    """(exit code, stdout, stderr) of a click command; an exception that is no exit of its own is raised."""
    done = CliRunner().invoke(command, [str(argument) for argument in arguments])
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.exit_code, done.stdout, done.stderr
