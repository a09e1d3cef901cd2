"""scripts/gates.py and the report: exit codes, JSON, and a page that needs no network."""

import json
import re

from click.testing import CliRunner

from lib.gates import Gate, load_gates
from scripts.gates import main
from tests.gates_support import good_row, kto_rows, proofs_of, written
from tests.page_support import Reader

ALL = [gate for gates in load_gates().values() for gate in gates]


def run(*args):
    return CliRunner().invoke(main, [str(arg) for arg in args])


def test_failing_gates_end_with_1_and_their_causes(tmp_path):
    path = written(tmp_path, [good_row(n, "Show me the plan") for n in range(4)])
    result = run("--sft", path)
    assert result.exit_code == 1
    assert f"{path}: 4 rows, " in result.stdout
    table, _, causes = result.stdout.partition("\nexact-unique requests:\n")
    (line,) = [line for line in table.splitlines() if line.startswith("exact-unique requests")]
    assert line.split()[2:5] == ["0.250", ">=", "0.995"] and line.endswith("FAIL")
    assert causes.splitlines()[0].strip() == '"show me the plan": 4'


def test_json_holds_every_gate(tmp_path):
    path = written(tmp_path, kto_rows())
    result = run("--kto", path, "--json")
    (sheet,) = json.loads(result.stdout)
    assert [gate["name"] for gate in sheet["gates"]] == [gate.name for gate in load_gates()["kto"]]
    assert sheet["failed"] == sum(gate["passes"] is False for gate in sheet["gates"]) > 0


def test_gates_that_all_pass_end_with_0(tmp_path, monkeypatch):
    open_gates = {kind: [Gate(gate.name, gate.what) for gate in gates] for kind, gates in load_gates().items()}
    monkeypatch.setattr("lib.gates.load_gates", lambda: open_gates)
    path = written(tmp_path, [good_row(n) for n in range(4)])
    assert run("--sft", path).exit_code == 0


def test_the_page_shows_everything_and_fetches_nothing(tmp_path):
    given = kto_rows()
    given[0]["conversations"][0]["content"] = "Show <script>alert(1)</script> | please"
    path = written(tmp_path, given, proofs_of(given))
    result = run("--sft", path, "--kto", path, "--page", tmp_path / "out")
    assert result.exit_code == 1
    html = (tmp_path / "out/gates.html").read_text(encoding="utf-8")
    seen = Reader(html)
    assert seen.open == [] and seen.fetched == []
    assert not {"script", "link", "img", "iframe"} & set(seen.tags)
    assert "url(" not in html and "@import" not in html
    assert html.count("<svg") >= 4 and 'name="viewport"' in html
    assert all(gate.what.replace(">", "&gt;") in html for gate in ALL)
    markdown = (tmp_path / "out/gates.md").read_text(encoding="utf-8")
    table = [line for line in markdown.splitlines() if line.startswith("| ")]
    widths = [len(re.split(r"(?<!\\)\|", line)) - 2 for line in table]
    assert widths.count(5) == len(ALL) + 4
    assert widths.count(3) == len(table) - widths.count(5) > 20, "one line a feature"
    assert "<script>" not in markdown


def test_a_missing_file_cannot_be_measured(tmp_path):
    result = run("--sft", tmp_path / "none.jsonl")
    assert result.exit_code == 2 and "no such file" in result.stderr
