"""The truncation guard: what shows that a prompt was cut, and what does not."""

import pytest

from evaluator.replies import Reply
from evaluator.truncation import context_for, cut, least_tokens, most_tokens, tools_text
from lib.toolset import load_toolset

TOOLS = load_toolset().openai_tools()
WHOLE = least_tokens(tools_text(TOOLS))
SAID = ["List everything in the folder Projects, please."]


@pytest.mark.parametrize(
    ("prompt", "window", "before", "finish", "words"),
    [
        (46, 4096, 0, "stop", ""),  # the tools are known by heart
        (650, 4096, 0, "stop", ""),  # only their names are in the prompt
        (650, 0, 46, "stop", ""),
        (None, 4096, 0, "stop", ""),  # not counted
        (0, 4096, 0, "stop", ""),  # cached, and so not counted
        (2 * WHOLE, 10 * WHOLE, 0, "stop", ""),
        (2 * WHOLE, 0, 2 * WHOLE + 90, "stop", ""),  # thoughts of the turn before were dropped
        (4096, 4096, 0, "stop", "fills the whole context of 4096"),
        (4095, 4096, 0, "stop", "fills the whole context"),
        (4000, 4096, 0, "stop", f"at least {WHOLE + 5}"),
        (2048, 0, 0, "stop", f"at least {WHOLE + 5}"),
        (4, 0, 0, "stop", "read 4 tokens of a prompt that has at least 5"),
        (4, 8192, 0, "stop", "read 4 tokens"),
        (2 * WHOLE, 0, 3 * WHOLE, "stop", "a step before"),
        (4000, 4050, 0, "length", "fill the whole context of 4050"),
    ],
)
def test_only_what_no_template_explains_counts_as_cut(prompt, window, before, finish, words):
    reply = Reply(text="x", finish=finish, prompt_tokens=prompt, reply_tokens=50)
    why, _ = cut(reply, SAID, TOOLS, window, before)
    assert words in why and bool(why) == bool(words), why


def test_a_server_that_says_so_itself_is_believed():
    assert "as it says itself" in cut(Reply(truncated=True, prompt_tokens=99), SAID, None, 0, 0)[0]


def test_the_toolset_does_not_fit_the_smallest_default_context():
    assert WHOLE > 2048


@pytest.mark.parametrize(
    "text", ["", "a", "a b c", '{"path": "Daily/2024-12-30.md"}', "日本語のノート", "-----", " " * 99]
)
def test_bounds_are_bounds(text):
    assert 0 <= least_tokens(text) <= max(1, len(text)) <= most_tokens(text)


def test_the_advised_context_holds_three_times_the_lower_bound_and_the_reply():
    assert context_for(5000, 512) == 16384 and context_for(10, 64) == 4096
