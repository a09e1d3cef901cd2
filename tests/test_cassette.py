"""lib.cassette: what is found again, and what a kill in the middle of writing leaves."""

import os
import signal
import subprocess
import sys

import pytest

from lib.cassette import Cassette, digest_of

QUESTION = {"model": "m", "messages": [{"role": "user", "content": "Grüße"}], "seed": 1, "temperature": 0.9}
ANSWER = {"text": "ok", "usage": {"prompt_tokens": 3}}


def changed(**more):
    return {**QUESTION, **more}


def test_an_answer_is_found_under_an_equal_question(tmp_path):
    Cassette(tmp_path / "new").keep(QUESTION, ANSWER)
    turned = dict(reversed(QUESTION.items()))
    assert Cassette(tmp_path / "new").find(turned) == ANSWER


@pytest.mark.parametrize(
    "other",
    [
        changed(model="n"),
        changed(seed=2),
        changed(temperature=0.8),
        changed(messages=[{"role": "user", "content": "Grüße."}]),
        changed(response_format={"type": "json_object"}),
    ],
)
def test_every_part_of_a_question_counts(tmp_path, other):
    cassette = Cassette(tmp_path)
    cassette.keep(QUESTION, ANSWER)
    assert cassette.find(other) is None
    assert digest_of(other) != digest_of(QUESTION)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"question": 1}', '{"question": {}, "answer": {}}', "\x00"])
def test_a_damaged_file_is_no_answer(tmp_path, text):
    cassette = Cassette(tmp_path)
    cassette.keep(QUESTION, ANSWER)
    cassette.path(QUESTION).write_text(text)
    assert cassette.find(QUESTION) is None
    cassette.keep(QUESTION, ANSWER)
    assert cassette.find(QUESTION) == ANSWER


def test_an_edited_question_is_no_answer_to_the_old_one(tmp_path):
    cassette = Cassette(tmp_path)
    cassette.keep(QUESTION, ANSWER)
    path = cassette.path(QUESTION)
    path.write_text(path.read_text().replace("Grüße", "Hello"))
    assert cassette.find(QUESTION) is None


def test_a_killed_writer_leaves_whole_files_only(tmp_path):
    code = (
        "import sys\n"
        "from lib.cassette import Cassette\n"
        "cassette = Cassette(sys.argv[1])\n"
        "for number in range(10**9):\n"
        "    cassette.keep({'seed': number}, {'text': 'x' * 20_000})\n"
        "    print(number, flush=True)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True) as writer:
        for line in writer.stdout:
            if int(line) == 5:
                os.kill(writer.pid, signal.SIGKILL)
        assert writer.wait() == -signal.SIGKILL
    cassette = Cassette(tmp_path)
    files = list(tmp_path.glob("*.json"))
    assert len(files) >= 6
    for number in range(len(files)):
        assert cassette.find({"seed": number}) == {"text": "x" * 20_000}
