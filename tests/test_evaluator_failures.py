"""Failures as training rows: only of sets that are held back, never what an evaluation asks; trainers look again."""

import json

import click
import pytest
from click.testing import CliRunner

from evaluator.__main__ import main as evaluate
from evaluator.cases import PROMPTS
from evaluator.failures import failures, kto_row
from evaluator.ladder import main as ladder
from evaluator.results import read_result
from lib.contamination import refuse_evaluation_prompts
from lib.jsonl import read_rows, write_rows
from lib.toolset import load_toolset
from lib.training import prepare, training_options
from lib.training_rows import load_examples
from lib.validation import check_row
from tests.loopback import chat, serving

SHIPPED = [row for _, row in read_rows(PROMPTS / "full_coverage.jsonl")]


def practice(folder, *more):
    """A prompt set of our own: five cases of the shipped set with other requests, and further questions."""
    rows = [row | {"question": f"Job {n}, as agreed."} for n, row in enumerate(SHIPPED[:5])]
    rows += [SHIPPED[5] | {"id": f"more_{n}", "question": question} for n, question in enumerate(more)]
    write_rows(folder / "practice.jsonl", rows)
    return folder / "practice.jsonl"


def failed(folder, prompts):
    """The evaluation of a model that calls the wrong tool and then talks, on these prompt sets."""

    def answer(path, body, number):
        if body is None:
            return {"data": [{"id": "m"}]}
        if len(body["messages"]) > 1:
            return chat("There.")
        return chat("Let me look.", [("commandManager_executeCommand", {"commandId": "none"})])

    with serving(answer) as server:
        arguments = ["--backend", "openai", "--url", server.url, "--out", folder / "e", "--prompts", prompts]
        done = CliRunner().invoke(evaluate, [*map(str, arguments), "--no-probe"], catch_exceptions=False)
    assert done.exit_code == 0, done.stderr
    return folder / "e"


def exported(folder, place, *held_back):
    """(exit code, rows, stderr) of the ladder's export."""
    out = folder / "failed.jsonl"
    options = ["--out", str(folder / "l.md"), "--failures", str(out)]
    options += [part for name in held_back for part in ("--held-back", name)]
    done = CliRunner().invoke(ladder, [str(place), *options], catch_exceptions=False)
    return done.exit_code, [row for _, row in read_rows(out)] if out.exists() else [], done.stderr


def test_failures_of_a_held_back_set_become_rows_that_the_trainers_take(tmp_path):
    code, rows, err = exported(tmp_path, failed(tmp_path, practice(tmp_path)), "practice")
    assert code == 0 and "5 rows with label false" in err
    assert [(row["label"], row["prompt"]) for row in rows] == [
        (False, f"practice:{case['id']}") for case in SHIPPED[:5]
    ]
    assert rows[0]["reason"].startswith("context-missing: ") and rows[0]["conversations"][0]["content"].startswith(
        "Job "
    )
    text = rows[0]["conversations"][1]["content"]
    assert text.startswith("Let me look.\n\ntool_call: commandManager_executeCommand\narguments: {")
    assert "\n\nResult: {" in text and text.endswith("\n\nThere.")
    assert [fault for row in rows for fault in check_row(row, load_toolset())[1] if fault.severity == "error"] == []
    refuse_evaluation_prompts(load_examples([str(tmp_path / "failed.jsonl")]))


def test_without_a_word_nothing_is_exported(tmp_path):
    place = failed(tmp_path, practice(tmp_path))
    code, rows, err = exported(tmp_path, place)
    assert (code, rows) == (0, []) and "5 failed attempts are not exported" in err and "--held-back" in err


def test_what_an_evaluation_asks_stays_out_of_a_held_back_set(tmp_path):
    """Word for word, nearly so, and asked by another set that was measured beside it."""
    own = {"id": "mine_1", "question": "Sing to me of the rage of Achilles, son of Peleus, and of nothing else."}
    write_rows(tmp_path / "mine.jsonl", [SHIPPED[7] | own])
    asked = SHIPPED[0]["question"]
    prompts = practice(tmp_path, asked, asked.upper().replace(".", " !"), f"{own['question']} Thanks")
    place = failed(tmp_path, f"{prompts},{tmp_path / 'mine.jsonl'}")
    found = failures([read_result(place)], load_toolset(), ["practice"])
    assert (len(found.rows), found.leaks, found.measured) == (5, ["more_0", "more_1", "more_2"], ["mine_1"])


def test_a_shipped_set_cannot_be_held_back(tmp_path):
    code, rows, err = exported(tmp_path, failed(tmp_path, practice(tmp_path)), "full_coverage")
    assert (code, rows) == (2, []) and "full_coverage is what models are measured with" in err


def test_broken_json_is_no_row(tmp_path):
    result = read_result(failed(tmp_path, practice(tmp_path)))
    record = result["records"][0]
    record["steps"][0]["calls"][0]["arguments"] = None
    assert kto_row(record, "native") is None
    found = failures([result], load_toolset(), ["practice"])
    assert (len(found.rows), found.broken) == (4, [record["id"]])


@pytest.mark.parametrize("method", ["sft", "kto"])
def test_trainers_refuse_an_evaluation_prompt_by_file_and_line(tmp_path, method):
    right = {"role": "assistant", "content": "Which one do you mean?"}

    def row(question, label):
        return {"conversations": [{"role": "user", "content": question}, right], "label": label}

    path = tmp_path / "mine.jsonl"
    write_rows(path, [row("Which of the two is it?", True), row(f"Please: {SHIPPED[3]['question'].lower()}", False)])

    @click.command()
    @click.argument("data", nargs=-1)
    @training_options(method)
    def train(data, run_file, **options):
        prepare(method, options, list(data))

    done = CliRunner().invoke(train, [str(path), "--dry-run", "--yes"])
    said = done.output + done.stderr
    assert done.exit_code == 2 and f"{path}:2: " in said and f"{path}:1: " not in said
    assert f"like full_coverage:{SHIPPED[3]['id']}" in said


def test_the_shipped_datasets_are_not_refused():
    refuse_evaluation_prompts(load_examples(["datasets/syngen_tools_sft.jsonl"])[:300])


def test_each_answer_is_exported_once(tmp_path):
    result = read_result(failed(tmp_path, practice(tmp_path)))
    assert len(failures([result, json.loads(json.dumps(result))], load_toolset(), ["practice"]).rows) == 5
