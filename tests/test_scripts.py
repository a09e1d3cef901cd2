"""Every command prints its help with nothing installed but click, and refuses what it does not know."""

import subprocess
import sys
from pathlib import Path

import pytest

COMMANDS = sorted(f"scripts.{path.stem}" for path in Path("scripts").glob("*.py") if path.stem != "__init__")
COMMANDS += sorted(
    ".".join(path.with_suffix("").parts).removesuffix(".__main__")
    for path in Path("evaluator").glob("*.py")
    if '__name__ == "__main__"' in path.read_text(encoding="utf-8")
)
# Runs a module as `python -m` does, on a machine where only Python, click and this project exist.
BARE_MACHINE = """
import runpy, sys
KNOWN = sys.stdlib_module_names | {"click", "lib", "scripts", "evaluator"}
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] not in KNOWN:
            raise ModuleNotFoundError(f"{name} is not installed on a bare machine", name=name)
sys.meta_path.insert(0, Refuse())
module, *sys.argv[1:] = sys.argv[1:]
runpy.run_module(module, run_name="__main__", alter_sys=True)
"""


def bare(module, *arguments):
    return subprocess.run([sys.executable, "-c", BARE_MACHINE, module, *arguments], capture_output=True, text=True)


def test_there_are_commands_to_test():
    assert len(COMMANDS) >= 10
    assert "evaluator" in COMMANDS


@pytest.mark.parametrize("module", COMMANDS)
def test_help_needs_nothing_but_click(module):
    answer = bare(module, "--help")
    assert answer.returncode == 0, answer.stderr[-2000:]
    assert f"python -m {module}" in answer.stdout, "the help opens with a command that works"


@pytest.mark.parametrize("module", COMMANDS)
def test_an_unknown_option_exits_2(module):
    answer = bare(module, "--no-such-option")
    assert answer.returncode == 2
    assert "Traceback" not in answer.stderr
    assert "--no-such-option" in answer.stderr


def test_the_bare_machine_really_lacks_the_trainers():
    code = "import torch"
    answer = subprocess.run(
        [sys.executable, "-c", BARE_MACHINE.split("module, *")[0] + code], capture_output=True, text=True
    )
    assert "is not installed on a bare machine" in answer.stderr
