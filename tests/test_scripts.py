"""Every command prints its help with nothing installed but click, and refuses what it does not know."""

import pytest

from tests.commands import COMMANDS, on_a_bare_machine


def test_there_are_commands_to_test():
    assert len(COMMANDS) >= 10
    assert "evaluator" in COMMANDS


@pytest.mark.parametrize("module", COMMANDS)
def test_help_needs_nothing_but_click(module):
    code, out, err = on_a_bare_machine("--help")[module]
    assert code == 0, err[-2000:]
    assert f"python -m {module}" in out, "the help opens with a command that works"


@pytest.mark.parametrize("module", COMMANDS)
def test_an_unknown_option_exits_2(module):
    code, _, err = on_a_bare_machine("--no-such-option")[module]
    assert code == 2
    assert "Traceback" not in err
    assert "--no-such-option" in err


def test_the_bare_machine_really_lacks_the_trainers():
    code, _, err = on_a_bare_machine(modules=("lib.sft_torch",))["lib.sft_torch"]
    assert code == 1 and "is not installed on a bare machine" in err
