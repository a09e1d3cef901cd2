"""The HTML page: nothing a model wrote gets out of its place, nothing is fetched, old and odd results are shown too."""

import base64
import hashlib
import json
import re

import pytest
from click.testing import CliRunner

from evaluator.files import NAMES, write_files
from evaluator.page import page
from evaluator.page_data import page_data
from evaluator.shown import shown, visible
from lib.jsonl import write_json, write_text
from scripts.report import main
from tests.page_support import HOSTILE, Reader, record, result


def read(results):
    reader = Reader(page(results))
    return reader, json.loads(reader.inside["script application/json"])


def test_hostile_words_stay_where_they_belong(tmp_path):
    hostile = result(HOSTILE[:200], "pfl", HOSTILE, stopped=HOSTILE)
    for entry in hostile["records"]:
        entry |= {"id": f"{entry['id']} {HOSTILE}", "tags": [HOSTILE], "tools": [HOSTILE, "b"], "question": HOSTILE}
    hostile["settings"][HOSTILE] = HOSTILE
    plain = read([result("plain", "pfl")])[0]
    for results in ([hostile], [result("plain", "pfl"), hostile]):
        reader, data = read(results)
        assert reader.open == [] and reader.handlers == [] and reader.fetched == ["#cases"]
        assert set(reader.tags) <= {*plain.tags, "button", "wbr"} and reader.tags.count("script") == 2
    assert {case["id"] for case in data["cases"]} >= {shown(f"c0 {HOSTILE}", 600)}
    write_text(tmp_path / "page.html", page([hostile]))  # and UTF-8 holds it


def test_the_policy_knows_the_style_and_the_script_and_nothing_else():
    reader, _ = read([result("a", "pf")])
    for kind, text in (("script", reader.inside["script"]), ("style", reader.inside["style"])):
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{digest}';" in reader.policy
    assert reader.policy.startswith("default-src 'none';") and "unsafe" not in reader.policy
    assert "innerHTML" not in reader.inside["script"] and not re.search(r"url\(|@import", reader.inside["style"])


def test_a_reply_of_10_mb_is_shortened_and_says_so():
    text = page([result("a", "f", "y" * 10_000_000)])
    assert len(text) < 100_000 and "10,000,000 characters in all]" in text


@pytest.mark.parametrize(
    "raw, seen",
    [("a\x00\x1b\x7f", "a␀␛␡"), ("tab\tline\r\n", "tab\tline\n"), ("\r", "␍"), ("\x85", "\\x85"), ("\u202e", "\\u202e"),
     ("\ud800\uffff", "��"), ("Grüße 😀 <b>", "Grüße 😀 <b>")],
)  # fmt: skip
def test_what_cannot_be_seen_is_made_visible(raw, seen):
    assert visible(raw) == seen and visible(seen) == seen


@pytest.mark.parametrize(
    "value, seen", [(None, "null"), ({"a": float("nan")}, '{\n "a": NaN\n}'), ("abc", "ab… [3 characters in all]")]
)
def test_values_are_shown_as_text(value, seen):
    assert shown(value, 2 if value == "abc" else 100) == seen


def test_a_value_that_json_cannot_hold_is_named():
    deep = []
    for _ in range(100_000):
        deep = [deep]
    assert "cannot be written" in shown(deep) and "cannot be written" in shown(10**5000)


def test_what_changed_between_two_runs_comes_first():
    data = page_data([result("a", "ppffpi"), result("b", "pfpfip")])
    assert [(case["id"], case["kind"]) for case in data["cases"]] == [
        ("c1", "lost"), ("c2", "gained"), ("c3", "failed"), ("c4", "failed"), ("c5", "failed"), ("c0", "passed"),
    ]  # fmt: skip
    text = page([result("SFT", "ppffpi"), result("KTO", "pfpfip", fingerprint={"build": "b2"})])
    assert "KTO against SFT" in text and "KTO passes 1 more and 1 fewer of 4 than SFT" in text
    assert "differ in the server&#x27;s build" in text and "passed in A, fails in B" in text


def test_several_runs_are_each_tested_against_the_one_before():
    text = page([result("base", "fff"), result("SFT", "ppf"), result("KTO", "pff")])
    assert "3 runs side by side" in text and "SFT passes 2 more" in text and "KTO passes 0 more and 1 fewer" in text
    assert [case["kind"] for case in page_data([result(name, "p" + name) for name in "pfp"])["cases"]] == [
        "changed", "passed",
    ]  # fmt: skip


def test_a_case_has_all_that_a_reader_needs():
    (case,) = page_data([result("a", "l")])["cases"]
    (attempt,) = case["runs"][0]
    (step,) = attempt["steps"]
    assert case["question"] == "Please do c0." and step["text"] == "All done." and step["thought"] == "Hm, All done."
    assert step["calls"][0]["name"] == "manager_All done." and '"success": true' in step["calls"][0]["result"]
    assert step["note"] == "1 of 1 calls were found in the text; the server delivered 0"
    assert attempt["changes"].startswith("note created") and attempt["wanted"] == "note created: Wanted.md"


def test_attempts_at_a_case_stand_together():
    data = page_data([result("a", "pf ppp")])
    assert [len(case["runs"][0]) for case in data["cases"]] == [2, 3]
    assert "pass@2" in page([result("a", "pf ppp")])


def test_results_of_older_days_are_shown():
    old = result("old", "pf")
    bare = {key: old[key] for key in ("label", "settings", "stopped", "seconds", "summary")}
    assert "<h2>Cases</h2>" not in page([bare])
    for entry in old["records"]:
        for name in ("steps", "changes", "wanted", "tags", "tools", "seconds"):
            del entry[name]
    steps = page_data([old])["cases"][0]["runs"][0][0]["steps"]
    assert steps[0]["text"] == "All done." and steps[0]["calls"][0]["name"] == "manager_All done."


def test_no_list_grows_without_end():
    many = record("c0", "model_fail", findings=[{"code": "x", "message": "y"}] * 10_000)
    many["steps"] *= 1000
    many["steps"][0] = many["steps"][0] | {"calls": many["calls"] * 5000}
    text = page([result("a", "p") | {"records": [many]}])
    assert len(text) < 400_000


def test_the_page_is_written_again_or_for_several(tmp_path):
    for name in ("a", "b"):
        write_json(tmp_path / name / "results.json", result(name, "pf"))
    run = CliRunner().invoke(main, [str(tmp_path / "a")])
    assert run.exit_code == 0 and {path.name for path in (tmp_path / "a").iterdir()} == set(NAMES)
    target = tmp_path / "both.html"
    run = CliRunner().invoke(main, [str(tmp_path / "a"), str(tmp_path / "b"), "--page", str(target)])
    assert run.exit_code == 0 and "b against a" in target.read_text()
    assert CliRunner().invoke(main, [str(tmp_path / "none")]).exit_code == 2


def test_every_file_of_a_result_is_written_whatever_it_holds(tmp_path):
    hostile = result("a", "pfli", HOSTILE.replace("\ud800", ""))
    write_files(tmp_path, hostile)
    assert all((tmp_path / name).stat().st_size > 500 for name in NAMES)
    report = (tmp_path / "report.md").read_text()
    assert "\x1b" not in report and "\u202e" not in report
    assert "<script" not in re.sub(r"`[^`]*`", "", report)
