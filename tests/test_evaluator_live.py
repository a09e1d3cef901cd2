"""The bar: rate, interval and what was lost while it runs; an earlier run counts but does not speed it up."""

import io
from contextlib import redirect_stderr

import pytest

from evaluator.live import Live
from tests.page_support import LETTERS, record


class Terminal(io.StringIO):
    def isatty(self):
        return True


def told(stream, cases, earlier=0):
    """The bar after one record for each (case, letter) pair, the first so many of an earlier run."""
    with redirect_stderr(stream):
        live = Live("case")
        for n, (case, letter) in enumerate(cases):
            live(record(case, LETTERS[letter]), 10, n < earlier)
    return live


@pytest.mark.parametrize(
    "outcomes, words",
    [("", ""), ("p", "100 % pass (21–100 %)"), ("ppfl", "67 % pass (21–94 %), 1 lost"), ("i", "1 no answer")],
)
def test_the_rate_is_told_with_its_interval(outcomes, words):
    assert told(Terminal(), enumerate(outcomes)).words() == words


def test_the_bar_shows_how_much_is_done_and_left():
    stream = Terminal()
    live = told(stream, enumerate("ppf"))
    live.bar.refresh()
    line = stream.getvalue().split("\r")[-1]
    assert "3/10" in line and "67 % pass (21–94 %)" in line and "<" in line


def test_an_earlier_run_counts_but_not_for_speed():
    live = told(Terminal(), enumerate("pppf"), earlier=3)
    assert (live.bar.n, live.bar.initial) == (4, 3) and live.words().startswith("75 %")


def test_attempts_at_one_case_tell_as_much_as_one():
    assert told(Terminal(), [("c0", "p")] * 8).words() == "100 % pass (21–100 %)"


def test_no_terminal_no_bar():
    stream = io.StringIO()
    told(stream, enumerate("pf")).close()
    assert stream.getvalue() == ""
