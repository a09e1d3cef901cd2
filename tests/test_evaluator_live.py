"""The bar: rate, interval and what was lost while it runs; an earlier run counts but does not speed it up."""

import io

import pytest

from evaluator.live import Live
from tests.page_support import LETTERS, record


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def terminal(monkeypatch):
    stream = Terminal()
    monkeypatch.setattr("sys.stderr", stream)
    return stream


def told(outcomes, earlier=0, unit="case"):
    """The bar after these outcomes, of which the first so many are of an earlier run."""
    live = Live(unit)
    for n, letter in enumerate(outcomes):
        live(record(f"c{n}", LETTERS[letter]), 10, n < earlier)
    return live


@pytest.mark.parametrize(
    "outcomes, words",
    [("", ""), ("p", "100 % pass (21–100 %)"), ("ppfl", "67 % pass (21–94 %), 1 lost"), ("i", "1 no answer")],
)
def test_the_rate_is_told_with_its_interval(terminal, outcomes, words):
    assert told(outcomes).words() == words


def test_the_bar_shows_how_much_is_done_and_left(terminal):
    live = told("ppf")
    live.bar.refresh()
    line = terminal.getvalue().split("\r")[-1]
    assert "3/10" in line and "67 % pass (21–94 %)" in line and "<" in line


def test_an_earlier_run_counts_but_not_for_speed(terminal):
    live = told("pppf", earlier=3)
    assert (live.bar.n, live.bar.initial) == (4, 3) and live.words().startswith("75 %")


def test_attempts_at_one_case_tell_as_much_as_one(terminal):
    live = Live("attempt")
    for attempt in range(1, 9):
        live(record("c0", "pass", attempt), 8)
    assert live.words() == "100 % pass (21–100 %)"


def test_no_terminal_no_bar(monkeypatch):
    stream = io.StringIO()
    monkeypatch.setattr("sys.stderr", stream)
    told("pf").close()
    assert stream.getvalue() == ""
