"""Old journals judged again: the same verdicts from the same code, and each change named with the finding behind it."""

import json

import pytest
from click.testing import CliRunner

from evaluator.__main__ import main as evaluate
from evaluator.cases import load_cases
from evaluator.checkers import Verdict
from evaluator.rescore import main
from evaluator.results import read_result
from lib.toolset import Finding, load_toolset
from tests.commands import outcome
from tests.loopback import chat, perfect, perfect_text, serving


@pytest.fixture
def answered(tmp_path):
    """make(form, answer) -> a folder with the evaluation of the first cases of full_coverage."""

    def make(form="native", prompts="full_coverage", limit=6, answer=None):
        cases = load_cases([prompts], load_toolset())
        backend = "llamacpp" if form == "text" else "openai"
        answer = answer or (perfect_text if form == "text" else perfect)(cases)
        with serving(answer) as server:
            arguments = ["--backend", backend, "--url", server.url, "--out", str(tmp_path / "e"), "--format", form]
            arguments += ["--prompts", prompts, "--limit", str(limit), "--no-probe"]
            assert CliRunner().invoke(evaluate, arguments, catch_exceptions=False).exit_code == 0
        return tmp_path / "e"

    return make


def rescore(*arguments):
    return outcome(main, *arguments)


def rows_of(journal):
    """(the line of settings, the judged attempts) of a journal."""
    head, *rows = [json.loads(line) for line in journal.read_text().splitlines()]
    return head, [row for row in rows if "outcome" in row]


def without(record):
    return {name: value for name, value in record.items() if name not in ("seconds", "steps")}


@pytest.mark.parametrize("form", ["native", "text"])
def test_the_same_code_gives_the_same_records(answered, form):
    folder = answered(form, "tool_combos")
    before = read_result(folder)
    code, out, _ = rescore(folder, "--write")
    after = read_result(folder)
    assert code == 0 and "0 of 6 verdicts changed; 6 of 6 pass." in out
    assert list(map(without, after["records"])) == list(map(without, before["records"]))
    assert after["summary"] == before["summary"] and after["settings"] == before["settings"]


def test_failures_are_judged_again_too(answered):
    wrong = {"context": {}, "path": 7}
    folder = answered(
        answer=lambda path, body, number: (
            {"data": [{"id": "m"}]} if body is None else chat(None, [("vaultManager_listDirectory", wrong)])
        )
    )
    before = read_result(folder)["records"]
    code, out, _ = rescore(folder, "--write")
    assert code == 0 and "0 of 6 verdicts changed; 0 of 6 pass." in out
    assert [record["findings"] for record in read_result(folder)["records"]] == [r["findings"] for r in before]


def stricter(monkeypatch, case_id):
    from evaluator import runner

    real = runner.judge

    def judge(case, *rest):
        if case.id != case_id:
            return real(case, *rest)
        return Verdict(True, True, (Finding("too-slow", "was too slow", "reply"),))

    monkeypatch.setattr(runner, "judge", judge)


def test_a_stricter_checker_changes_a_verdict_and_says_why(answered, monkeypatch):
    folder = answered()
    case_id = read_result(folder)["records"][2]["id"]
    kept = (folder / "results.json").read_bytes()
    stricter(monkeypatch, case_id)
    code, out, _ = rescore(folder)
    assert code == 1 and f"{case_id}: pass -> model_fail, now too-slow: was too slow" in out
    assert "1 of 6 verdicts changed; 5 of 6 pass." in out
    assert (folder / "results.json").read_bytes() == kept
    code, _, err = rescore(folder, "--write")
    result = read_result(folder)
    assert code == 0 and "Written" in err and result["summary"]["outcomes"]["model_fail"] == 1
    assert result["rescored"] and "too-slow" in (folder / "report.md").read_text()


def test_a_finding_that_is_gone_is_named(answered, monkeypatch):
    folder = answered()
    journal = folder / "journal.jsonl"
    head, attempts = rows_of(journal)
    attempts[0] |= {"outcome": "model_fail", "findings": [{"code": "old-rule", "message": "broke it"}]}
    journal.write_text("".join(json.dumps(row) + "\n" for row in [head, *attempts]))
    code, out, _ = rescore(folder)
    assert code == 1 and f"{attempts[0]['id']}: model_fail -> pass, no longer old-rule: broke it" in out


def test_what_cannot_be_judged_again_keeps_its_verdict(answered):
    folder = answered()
    journal = folder / "journal.jsonl"
    head, attempts = rows_of(journal)
    attempts[0]["question"] = "Something else?"
    attempts[1]["id"] = "gone"
    attempts[2]["outcome"] = "infra"
    attempts[3]["steps"][0]["results"] = [{"success": False, "error": "an older simulator"}]
    journal.write_text("".join(json.dumps(row) + "\n" for row in [head, *attempts]))
    code, out, _ = rescore(folder, "--json")
    found = json.loads(out)[0]
    assert code == 0 and {entry["why"] for entry in found["kept"]} == {
        "the case asks something else now",
        "the case is no longer in its set",
        "there was no answer",
    }
    assert found["other_results"] == [attempts[3]["id"]]


def test_a_journal_without_its_results_gives_one(answered):
    folder = answered()
    (folder / "results.json").unlink()
    assert rescore(folder, "--write")[0] == 0
    result = read_result(folder)
    assert result["summary"]["pass"]["passed"] == 6 and "only the journal" in result["stopped"]


def test_a_folder_without_a_journal_is_refused(tmp_path):
    code, _, err = rescore(tmp_path)
    assert code == 2 and "No journal.jsonl" in err


def test_own_prompt_files_are_named_again(answered):
    folder = answered()
    journal = folder / "journal.jsonl"
    head, attempts = rows_of(journal)
    head["settings"]["prompts"] = ["mine"]
    journal.write_text("".join(json.dumps(row) + "\n" for row in [head, *attempts]))
    code, _, err = rescore(folder)
    assert code == 2 and "No prompt set mine" in err
    assert rescore(folder, "--prompts", "full_coverage")[0] == 0
