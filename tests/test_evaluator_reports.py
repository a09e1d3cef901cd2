"""Figures and tables: intervals as tabulated, only answered cases in the rate, one row a run in the ladder."""

import json

import pytest
from rich.console import Console

from evaluator.reports import console_tables, ladder_table, markdown_report, markdown_table, shown_rate
from evaluator.results import read_result
from evaluator.statistics import rate, speed, summarize, wilson
from lib.errors import CannotRun


# Values of the Wilson score interval at 95 % as printed in textbooks and by R's prop.test(correct = FALSE).
@pytest.mark.parametrize(
    "successes, trials, low, high",
    [(0, 10, 0.0, 0.2775), (5, 10, 0.2366, 0.7634), (8, 10, 0.4902, 0.9433), (10, 10, 0.7225, 1.0),
     (81, 263, 0.2553, 0.3662)],
)  # fmt: skip
def test_wilson_interval_is_the_tabulated_one(successes, trials, low, high):
    assert wilson(successes, trials) == pytest.approx((low, high), abs=5e-5)


def test_rate_of_nothing_is_unknown():
    assert rate(0, 0) == {"passed": 0, "of": 0, "rate": None, "low": 0.0, "high": 1.0}
    assert shown_rate(rate(0, 0)) == "–"
    assert shown_rate(rate(8, 10)) == "8/10 (80 %, 49 %–94 %)"


def record(case_id, outcome, tools=("a_b",), tags=("t",), codes=(), right=False, valid=False):
    return {
        "id": case_id,
        "set": "s",
        "tags": list(tags),
        "tools": list(tools),
        "question": "Where | is\nit?",
        "outcome": outcome,
        "right_tool": right,
        "valid_call": valid,
        "lost": outcome == "server_lost",
        "findings": [{"code": code, "message": f"because {code}", "path": "", "severity": "error"} for code in codes],
        "calls": [{"name": "a_b", "arguments": {"context": {"secretish": 1}, "q": "x"}, "source": "text"}],
        "reply": "said",
        "steps": [{"prompt_tokens": 50, "reply_tokens": None}],
        "seconds": 2.0,
    }


RECORDS = [
    record("1", "pass", right=True, valid=True),
    record("2", "model_fail", tags=("t", "u"), codes=["wrong-tool", "wrong-tool", "no-call"], valid=True),
    record("3", "server_lost", right=True, valid=True),
    record("4", "infra", codes=["timeout"]),
]


def result(label="mine", records=RECORDS):
    return {
        "label": label,
        "settings": {"format": "native", "prompts": ["s", "t"]},
        "fingerprint": {"build": "b1"},
        "seconds": 12.4,
        "stopped": "",
        "summary": summarize(records),
        "records": records,
    }


def test_only_pass_and_model_fail_enter_the_rate():
    summary = summarize(RECORDS)
    assert summary["outcomes"] == {"pass": 1, "model_fail": 1, "server_lost": 1, "infra": 1}
    assert (summary["pass"]["passed"], summary["pass"]["of"]) == (1, 2)
    assert (summary["model"]["passed"], summary["delivered"]["passed"], summary["model"]["of"]) == (2, 1, 3)
    assert (summary["right_tool"]["passed"], summary["valid_call"]["passed"]) == (2, 3)


def test_failures_are_counted_once_per_case_and_code():
    assert summarize(RECORDS)["codes"] == {"no-call": 1, "wrong-tool": 1, "timeout": 1}


def test_groups_are_by_tag_and_tool():
    summary = summarize([*RECORDS, record("5", "pass", tools=("c_d", "a_b"), tags=("u",))])
    assert (summary["by_tag"]["t"]["of"], summary["by_tag"]["u"]["of"]) == (2, 2)
    assert (summary["by_tool"]["a_b"]["of"], summary["by_tool"]["c_d"]["passed"]) == (3, 1)


def test_summary_of_no_records_has_no_figures():
    summary = summarize([])
    assert summary["pass"]["rate"] is None and summary["seconds_p50"] is None


def test_report_names_every_failed_case_with_its_reasons():
    report = markdown_report(result())
    assert "### 2: model_fail" in report and "`wrong-tool` because wrong-tool" in report
    assert "Model 2/3, delivered 1/3" in report and "server build" in report
    assert "### 1:" not in report and "secretish" not in report
    assert "- calls: 3, at least 1 needed" in markdown_report(result(records=[RECORDS[1] | {"used": 3, "minimum": 1}]))


def test_speed_is_of_single_requests_and_of_all_of_them_together():
    def timed(*seconds):
        return {"steps": [{"seconds": each, "reply_tokens": 30} for each in seconds]}

    found = speed([timed(1.0, 2.0), timed(*[0.5] * 17, 4.0)], 12.0, 4)
    assert found == {
        "parallel": 4,
        "requests": 20,
        "seconds_p50": 0.5,
        "seconds_p95": 4.0,
        "tokens_per_second": 50.0,
    }
    assert speed([], 0.0, 1)["seconds_p50"] is None and speed([], 0.0, 1)["tokens_per_second"] is None
    measured = result() | {"speed": found, "probe": {"says": "a seed is honoured"}, "settled": "settled after 4 of 9"}
    report, text = markdown_report(measured), printed(*console_tables(measured))
    for shown in ("0.50 median, 4.00 at 95 %", "50.0, 4 requests at once", "a seed is honoured"):
        assert shown in report and shown in text
    assert "**Stopped early: settled after 4 of 9**" in report and "at once" not in markdown_report(result())


def test_cell_with_bar_or_line_break_stays_one_cell():
    assert markdown_table(["a"], [["x|y\nz"]]).splitlines()[-1] == "| x\\|y z |"


def printed(*tables):
    console = Console(width=200, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    for table in tables:
        console.print(table)
    return console.export_text()


def test_console_shows_tag_tool_and_code():
    text = printed(*console_tables(result()))
    assert "mine" in text and "a_b" in text and "wrong-tool" in text and "1/2 (50 %" in text


def test_ladder_has_one_row_a_run_in_the_given_order(tmp_path):
    paths = []
    for label in ("base", "SFT"):
        folder = tmp_path / label
        folder.mkdir()
        (folder / "results.json").write_text(json.dumps(result(label)))
        paths.append(folder)
    table, text = ladder_table(paths)
    rows = text.splitlines()[2:]
    assert [row.split("|")[1].strip() for row in rows] == ["base", "SFT"]
    assert "1/2 (50 %, 9 %–91 %)" in rows[0] and rows[0].rstrip(" |").endswith("12")
    assert printed(table).index("base") < printed(table).index("SFT")


@pytest.mark.parametrize("content, words", [(None, "no such result"), ("{", "not an evaluation result")])
def test_result_that_cannot_be_read_is_refused(tmp_path, content, words):
    if content:
        (tmp_path / "results.json").write_text(content)
    with pytest.raises(CannotRun, match=words):
        read_result(tmp_path)
