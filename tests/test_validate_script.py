"""scripts/validate.py: what is printed where, the report, and the exit codes."""

import json
import os
import threading

import pytest
from click.testing import CliRunner

from scripts.bench_validate import main as bench
from scripts.validate import main
from tests import rows
from tests.test_validation import PLANTED

GOOD = json.dumps(rows.row())
BAD = json.dumps(PLANTED["unknown tool"][0])
EXCUSED = json.dumps(PLANTED["empty sessionMemory"][0] | {"label": False})
ODD = json.dumps(rows.row(source="hand"))
UNKNOWN_TOOL = (
    "unknown-tool: turn 2, call 1: there is no tool 'contentManager_readFile'. Did you mean contentManager_readContent?"
)


def run(*args, data=None):
    return CliRunner().invoke(main, [str(arg) for arg in args], input=data)


@pytest.fixture
def file(tmp_path):
    def make(*lines, name="rows.jsonl"):
        path = tmp_path / name
        content = "\n".join(lines) + "\n" if lines and isinstance(lines[0], str) else b"".join(lines)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return make


def test_a_clean_file_prints_nothing_on_stdout_and_exits_0(file):
    path = file(GOOD, GOOD)
    result = run(path)
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr == f"{path}: 2 rows (2 true, 0 false), 2 valid\n"


def test_problems_are_lines_of_path_line_code_message_and_exit_1(file):
    path = file(GOOD, "", BAD)
    result = run(path)
    assert result.exit_code == 1
    assert result.stdout == f"{path}:3: {UNKNOWN_TOOL}\n"
    assert "error     unknown-tool  1      3" in result.stderr


def test_warnings_are_marked_and_do_not_fail(file):
    result = run(file(ODD))
    assert result.exit_code == 0
    assert result.stdout.endswith("unknown-key: the row has an unknown key 'source' [warning]\n")


def test_broken_tool_rules_of_false_rows_are_counted_and_shown_on_request(file):
    path = file(EXCUSED)
    result = run(path)
    assert (result.exit_code, result.stdout) == (0, "")
    assert "info      empty-memory  1      1" in result.stderr
    assert ": empty-memory: " in run(path, "--info").stdout


def test_several_files_are_reported_one_after_the_other(file):
    first, second = file(BAD, name="a.jsonl"), file(GOOD, BAD, name="b.jsonl")
    result = run(first, second)
    assert result.stdout == f"{first}:1: {UNKNOWN_TOOL}\n{second}:2: {UNKNOWN_TOOL}\n"


def test_the_report_has_the_agreed_fields(file, tmp_path):
    first, second = file(GOOD, BAD, ODD, EXCUSED, name="a.jsonl"), file(GOOD, name="b.jsonl")
    path = tmp_path / "out" / "report.json"
    assert run(first, second, "--report", path, "--max-shown", 0).stdout == ""
    report = json.loads(path.read_text())
    assert [set(entry) for entry in report["files"]] == [{"path", "examples", "valid", "problems"}] * 2
    a, b = report["files"]
    assert (a["path"], a["examples"], a["valid"]) == (str(first), 4, 3)
    assert [(p["line"], p["code"], p["severity"]) for p in a["problems"]] == [
        (2, "unknown-tool", "error"),
        (3, "unknown-key", "warning"),
        (4, "empty-memory", "info"),
    ]
    assert set(a["problems"][0]) == {"line", "code", "message", "severity"}
    assert b == {"path": str(second), "problems": [], "examples": 1, "valid": 1}
    assert os.listdir(path.parent) == ["report.json"]


def test_json_on_stdout_is_the_report_alone(file):
    result = run(file(BAD), "--json")
    assert result.exit_code == 1
    assert json.loads(result.stdout)["files"][0]["problems"][0]["code"] == "unknown-tool"


def test_at_most_so_many_problems_are_shown_and_the_rest_is_counted(file):
    result = run(file(*[BAD] * 5), "--max-shown", 2)
    assert result.stdout.count("unknown-tool") == 2
    assert "3 more problems not shown (--max-shown 2)" in result.stderr


def test_quiet_leaves_only_the_exit_code(file):
    result = run(file(BAD), "--quiet")
    assert (result.exit_code, result.stdout, result.stderr) == (1, "", "")


def test_stdin_is_read_as_a_file():
    result = run("-", data=f"{GOOD}\n{BAD}\n".encode())
    assert (result.exit_code, result.stdout) == (1, f"stdin:2: {UNKNOWN_TOOL}\n")


def test_a_pipe_is_read_once(file, tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_text, args=(f"{GOOD}\n{BAD}\n",))
    writer.start()
    result = run(pipe)
    writer.join()
    assert (result.exit_code, result.stdout) == (1, f"{pipe}:2: {UNKNOWN_TOOL}\n")


def test_the_bench_rows_are_valid_and_its_ratio_is_printed():
    result = CliRunner().invoke(bench, ["--rows", "100", "--rounds", "1"])
    assert result.exit_code in (0, 1)
    assert "ratio" in result.stdout


def test_output_is_the_same_for_every_number_of_workers(file):
    path = file(*[GOOD, BAD, "{}", ODD] * 30)
    one, two = run(path, "--workers", 1), run(path, "--workers", 2)
    assert one.stdout == two.stdout != ""
    assert one.stderr == two.stderr


NO_DATASET = {
    "words": ([b"Once upon a time\nthere was a file.\n"], "is no JSON Lines file"),
    "pretty JSON": ([json.dumps(rows.row(), indent=1).encode()], "is no JSON Lines file"),
    "CSV": ([b'id,text\n1,"x"\n'], "is no JSON Lines file"),
    "binary": ([bytes(range(256)) * 10], "is no JSON Lines file"),
    "empty": ([b""], "the file is empty"),
    "blank": ([b"\n \n\n"], "only blank lines"),
    "UTF-16": (["{}\n".encode("utf-16")], "UTF-16"),
}


@pytest.mark.parametrize("case", NO_DATASET)
def test_what_is_no_dataset_ends_with_one_sentence_and_exit_2(file, case):
    lines, words = NO_DATASET[case]
    path = file(*lines)
    result = run(path)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith(f"Error: {path}")
    assert words in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_missing_files_and_directories_are_refused_before_anything_is_checked(file, tmp_path):
    for wrong in (tmp_path / "none.jsonl", tmp_path):
        result = run(file(BAD), wrong)
        assert (result.exit_code, result.stdout) == (2, "")
        assert str(wrong) in result.stderr


def test_no_file_at_all_is_a_usage_error():
    assert run().exit_code == 2


def test_a_missing_toolset_is_named(file, tmp_path):
    result = run(file(GOOD), "--tools", tmp_path / "none.json")
    assert result.exit_code == 2
    assert "none.json" in result.stderr


def test_one_broken_row_alone_is_a_problem_not_a_refusal(file):
    result = run(file(GOOD[:-20]))
    assert result.exit_code == 1
    assert ":1: not-jsonl: " in result.stdout


def test_a_refused_file_leaves_no_report(file, tmp_path):
    report = tmp_path / "report.json"
    assert run(file(b"words\n"), "--report", report).exit_code == 2
    assert not report.exists() and not (tmp_path / "report.json.part").exists()
