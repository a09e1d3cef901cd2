"""Commands run in this process, as a shell would see them."""

from pathlib import Path

from click.testing import CliRunner


def outcome(command, *arguments):
    """(exit code, stdout, stderr) of a click command; an exception that is no exit of its own is raised."""
    done = CliRunner().invoke(command, [str(argument) for argument in arguments])
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.exit_code, done.stdout, done.stderr


def train(command, place, monkeypatch, *arguments, platform="cpu"):
    """The result of a training script whose model, data and runs lie in a test's folder."""
    monkeypatch.setattr("lib.runs.RUNS", place / "runs")
    words = [*arguments, "--model", place / "model", "--platform", platform]
    return CliRunner().invoke(command, [str(word) for word in words])


def first_sft_run(command, place, monkeypatch, *arguments, platform="cpu"):
    """The SFT run of that folder, trained when it is first asked for."""
    done = place / "sft.run"
    if not done.exists():
        flags = [*arguments, "--run-file", done, "--eval-fraction", "0.2"]
        result = train(command, place, monkeypatch, place / "sft.jsonl", *flags, platform=platform)
        assert result.exit_code == 0, result.output
    monkeypatch.setattr("lib.runs.RUNS", place / "runs")
    return Path(done.read_text().strip())
