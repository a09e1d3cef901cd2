"""lib/labelled_file.py: what is kept of a row, and that it is not the row."""

import json

from lib.labelled_file import key_of, read_labelled
from tests import rows


def prompt(**more):
    label, number, fault = key_of(json.dumps(rows.row(**more)).encode())
    assert fault is None
    return number


def test_the_prompt_is_what_the_users_say():
    assert prompt() == prompt(label=False, assistant="Something else.")
    assert prompt() != prompt(user="What is in the summer plan?")


def test_a_system_message_makes_no_other_prompt_and_a_second_question_does():
    row = rows.row()
    told = {"conversations": [{"role": "system", "content": "Be brief."}, *row["conversations"]], "label": True}
    asked_again = {"conversations": row["conversations"] * 2, "label": True}
    numbers = [key_of(json.dumps(each).encode())[1] for each in (row, told, asked_again)]
    assert numbers[0] == numbers[1] != numbers[2]


def test_words_do_not_run_together():
    def of(*words):
        turns = [{"role": "user", "content": word} for word in words]
        return key_of(json.dumps({"messages": turns, "label": True}).encode())[1]

    assert len({of("ab", "c"), of("a", "bc"), of("abc")}) == 3


def test_the_index_keeps_no_text(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(rows.row(user=f"{n % 7} {'long ' * 1000}")) + "\n" for n in range(50)))
    seen = []
    found = read_labelled(path, seen.append)
    kept = sum(part.itemsize * len(part) for part in (found.lines, found.offsets, found.sizes, found.prompts))
    assert kept + len(found.labels) <= 33 * 50
    assert len(set(found.prompts)) == 7
    assert sum(seen) == path.stat().st_size
    assert found.counts() == {"true": 50, "false": 0}
