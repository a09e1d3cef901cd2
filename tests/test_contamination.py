"""lib/contamination.py and scripts/contamination.py: a planted copy of an evaluation prompt is found by name."""

import json

import pytest
from click.testing import CliRunner

from lib.contamination import MEASURES, asked, contaminated, load_prompts, look
from lib.gates import judge, load_dataset, load_gates
from scripts.contamination import main
from tests.gates_support import good_row, written

QUESTION = "Move the meeting notes from last Tuesday into the Archive folder and tell me what you left behind."
PROMPTS = {"mine:move": QUESTION, "mine:short": "Where is the budget?"}
COPIES = {
    "word for word": (QUESTION, {"words", "letters", "contained"}),
    "other case and punctuation": (QUESTION.upper().replace(".", "!!"), {"words", "letters", "contained"}),
    "misspelt": (
        "Move the meeting nots from last Tuesday into the Archiv folder and tell me what you left behnd.",
        {"letters"},
    ),
    "inside a longer text": (f"{'First look at my calendar and see what is planned for the week. ' * 4}{QUESTION}",
                             {"contained"}),
    "its halves swapped": (
        "Tell me what you left behind and move the meeting notes from last Tuesday into the Archive folder.",
        {"words", "letters"},
    ),
    "a short one": ("where is the budget", {"words", "letters"}),
}  # fmt: skip


@pytest.mark.parametrize("case", COPIES)
def test_a_copy_is_found_by_name(case):
    text, measures = COPIES[case]
    report = look([("train.jsonl", 7, "Nothing of the kind"), ("train.jsonl", 9, text)], PROMPTS)
    assert report.rows == 2 and {leak.line for leak in report.leaks} == {9}
    assert {leak.prompt for leak in report.leaks} == {"mine:short" if "short" in case else "mine:move"}
    assert measures <= {leak.measure for leak in report.leaks} <= set(MEASURES)


@pytest.mark.parametrize(
    "text",
    [
        "Move the recipe notes from last summer into the Kitchen folder and tell me how many there are.",
        "Where is the ferry timetable?",
        "?!",
    ],
)
def test_another_request_in_the_same_manner_is_none(text):
    report = look([("train.jsonl", 1, text)], PROMPTS)
    assert report.leaks == []
    assert all(leak.likeness < 0.8 for leak in report.nearest.values())


def test_every_user_turn_of_both_forms_is_read(tmp_path):
    path = tmp_path / "both.jsonl"
    path.write_text(
        '{"conversations": [{"role": "system", "content": "s"}, {"role": "user", "content": "a"}, {"role": '
        '"assistant", "content": "b"}, {"role": "user", "content": "c"}, {"role": "assistant", "content": "d"}]}\n'
        '{"messages": [{"role": "user", "content": "e"}, {"role": "assistant", "content": "f"}]}\n'
    )
    assert [(line, text) for _, line, text in asked(path)] == [(1, "a"), (1, "c"), (2, "e")]


def test_the_gate_names_a_planted_prompt_in_either_set(tmp_path):
    name, question = next(iter(load_prompts().items()))
    clean = load_dataset(written(tmp_path, [good_row(n) for n in range(6)], name="clean"))
    planted = load_dataset(written(tmp_path, [good_row(1), good_row(2, question), good_row(3)], name="planted"))
    assert contaminated(clean).value == 0
    figure = contaminated(planted)
    assert figure.value == 1 and figure.causes[0].startswith(f"line 2: 1.00 like {name} (")
    for kind in ("sft", "kto"):
        (gate,) = [gate for gate in load_gates()[kind] if gate.name == f"{kind}.contaminated"]
        assert [verdict.passes for verdict in judge([gate], {"contaminated": figure})] == [False]
        assert gate.passes(0)


def test_the_command_reports_and_fails(tmp_path):
    suite, report = tmp_path / "suite.jsonl", tmp_path / "report.json"
    prompts = (
        {"id": "move", "question": QUESTION},
        {"id": "b1", "question": [[{"role": "user", "content": "What is 3 to the 4th?"}]]},
    )
    suite.write_text("\n".join(map(json.dumps, prompts)))
    data = written(tmp_path, [good_row(1), good_row(2, QUESTION), good_row(3, "What is 3 to the 4th")])
    result = CliRunner().invoke(main, [str(data), "--prompts", str(suite), "--report", str(report)])
    assert result.exit_code == 1, result.output
    assert f"{data}:2: 1.00 like suite:move (Jaccard of word 3-grams)" in result.stdout
    assert f"{data}:3: 1.00 like suite:b1" in result.stdout and "3 rows, 2 prompts: 2 leak" in result.stdout
    found = json.loads(report.read_text())
    assert found["rows"] == 3 and {leak["line"] for leak in found["leaks"]} == {2, 3}
    clean = written(tmp_path, [good_row(1)], name="clean")
    assert CliRunner().invoke(main, [str(clean), "--prompts", str(suite)]).exit_code == 0


def test_a_set_without_questions_is_refused_with_its_line(tmp_path):
    suite = tmp_path / "suite.jsonl"
    suite.write_text('{"id": "a", "question": "x y"}\n{"id": "b"}\n')
    data = written(tmp_path, [good_row(1)])
    result = CliRunner().invoke(main, [str(data), "--prompts", str(suite)])
    assert result.exit_code == 2 and f"{suite}:2: no prompt" in result.stderr
