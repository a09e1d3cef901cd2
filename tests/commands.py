"""Commands as a shell would see them: all of them on a bare machine, or one in this process."""

import functools
import json
import subprocess
import sys
from pathlib import Path

from click.testing import CliRunner

COMMANDS = sorted(f"scripts.{path.stem}" for path in Path("scripts").glob("*.py") if path.stem != "__init__")
COMMANDS += sorted(
    ".".join(path.with_suffix("").parts).removesuffix(".__main__")
    for path in Path("evaluator").glob("*.py")
    if '__name__ == "__main__"' in path.read_text(encoding="utf-8")
)
# Only Python, click and this project exist there. One process for all commands: each alone would start Python anew.
BARE_MACHINE = """
import contextlib, io, json, runpy, sys, traceback
KNOWN = sys.stdlib_module_names | {"click", "lib", "scripts", "evaluator"}
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] not in KNOWN:
            raise ModuleNotFoundError(f"{name} is not installed on a bare machine", name=name)
sys.meta_path.insert(0, Refuse())
modules, arguments, found = *json.loads(sys.argv[1]), {}
for module in modules:
    code, out, err, sys.argv = 0, io.StringIO(), io.StringIO(), [module, *arguments]
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            runpy.run_module(module, run_name="__main__", alter_sys=True)
        except SystemExit as end:
            code = end.code
        except BaseException:
            code = traceback.print_exc() or 1
    found[module] = code, out.getvalue(), err.getvalue()
print(json.dumps(found))
"""


@functools.cache
def on_a_bare_machine(*arguments, modules=tuple(COMMANDS)) -> dict:
    """module -> (exit code, stdout, stderr) of `python -m module arguments`."""
    line = [sys.executable, "-c", BARE_MACHINE, json.dumps([modules, arguments])]
    return json.loads(subprocess.run(line, check=True, capture_output=True, text=True).stdout)


def help_of(module: str) -> str:
    """What `python -m module --help` prints."""
    return on_a_bare_machine("--help")[module][1]


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
