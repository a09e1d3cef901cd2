"""lib.synth.replies: what models write around, into and instead of the JSON they are asked for."""

import json

import pytest

from lib.synth.replies import read_object, read_reply
from lib.synth.rows import Reject
from lib.teacher import Answer


@pytest.mark.parametrize(
    "text",
    [
        '{"closing": "Done."}',
        'Sure, here it is:\n```json\n{"closing": "Done."}\n```\nAnything else?',
        '<think>maybe {"closing": "no"}</think>\n{"closing": "Done."}',
        '{"closing": "Done.", "confidence": 0.9}',
        '{"closing":\n"Done."}',
    ],
)
def test_the_object_is_found_where_models_put_it(text):
    assert read_reply(Answer(text, False), "closing") == {"closing": "Done."}


def test_a_raw_line_break_in_a_string_is_read():
    assert read_object(Answer('{"closing": "a\nb"}', False)) == {"closing": "a\nb"}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "I would rather not.",
        '{"closing": "Do',
        '{"closing": NaN}',
        '{"closing": "\\ud800"}',
        '{"n": 123456789012345678901234567890}',
        '{"a":' * 3000,
        "[1]",
        '{a: "unquoted"} and then {"closing": "Done."}',
    ],
)
def test_what_is_no_json_is_said_to_be_none(text):
    with pytest.raises(Reject) as caught:
        read_object(Answer(text, False))
    assert caught.value.code == "not-json"


def test_a_cut_reply_is_called_cut():
    with pytest.raises(Reject, match="cut off at the limit of tokens"):
        read_object(Answer('{"closing": "Do', True))


@pytest.mark.parametrize(
    "reply",
    [
        {},
        {"closing": ""},
        {"closing": 3},
        {"request": "x"},
    ],
)
def test_a_reply_of_another_shape_is_refused(reply):
    with pytest.raises(Reject) as caught:
        read_reply(Answer(json.dumps(reply), False), "closing")
    assert caught.value.code == "schema"
