"""lib/twins.py and scripts/export.py: there and back gives the same rows, and what would be lost is refused."""

import itertools
import json

import pytest
from click.testing import CliRunner

from lib.errors import CannotRun
from lib.toolset import load_toolset
from lib.twins import Twins
from scripts.export import main
from tests import rows

SHIPPED = ("datasets/syngen_tools_sft.jsonl", "datasets/syngen_tools_kto.jsonl")


def run(*args):
    return CliRunner().invoke(main, [str(arg) for arg in args])


def native(change=lambda messages: None):
    row = rows.native_row()
    change(row["messages"])
    return row


def turned(row, form):
    return Twins(form).row("x.jsonl", 1, row)


@pytest.mark.parametrize("path", SHIPPED)
def test_there_and_back_gives_the_same_bytes(path, tmp_path):
    with open(path, "rb") as handle:
        shipped = b"".join(itertools.islice(handle, 0, None, 9))
    (tmp_path / "a.jsonl").write_bytes(shipped)
    for source, form, target in (("a", "native", "b"), ("b", "text", "c"), ("c", "native", "d")):
        result = run(tmp_path / f"{source}.jsonl", "--format", form, "--out", tmp_path / f"{target}.jsonl")
        assert (result.exit_code, result.stdout) == (0, ""), result.output
    assert (tmp_path / "c.jsonl").read_bytes() == shipped
    assert (tmp_path / "b.jsonl").read_bytes() == (tmp_path / "d.jsonl").read_bytes() != shipped
    assert all("messages" in json.loads(line) for line in (tmp_path / "b.jsonl").read_bytes().splitlines())


def test_native_rows_come_back_through_the_text():
    assert turned(turned(native(), "text"), "native") == native()


def test_a_form_turned_into_itself_stays():
    assert turned(rows.row(), "text") == rows.row()
    assert turned(native(), "native") == native()


def test_further_keys_and_own_tools_are_kept():
    row = rows.row(source="hand", tools=[{"type": "function"}])
    twin = Twins("native", tools=({"other": 1},)).row("x", 1, row)
    assert (twin["source"], twin["tools"]) == ("hand", [{"type": "function"}])
    assert turned(twin, "text") == row


def test_the_toolset_goes_into_each_row_on_request(tmp_path):
    data, out = tmp_path / "a.jsonl", tmp_path / "b.jsonl"
    data.write_text(json.dumps(rows.row()) + "\n" + json.dumps(rows.row(label=False)) + "\n")
    assert run(data, "--format", "native", "--tools", "--out", out).exit_code == 0
    written = [json.loads(line) for line in out.read_text().splitlines()]
    assert [row["tools"] for row in written] == [load_toolset().openai_tools()] * 2
    assert run(data, "--format", "native", "--out", out).exit_code == 0
    assert "tools" not in json.loads(out.read_text().splitlines()[0])


def test_ids_of_calls_are_dropped_from_the_text_and_counted():
    def rename(messages):
        for call, answer, name in zip(messages[2]["tool_calls"], messages[3:5], "ab", strict=True):
            call["id"] = answer["tool_call_id"] = name

    twins = Twins("text")
    assert twins.row("x", 1, native(rename)) == turned(native(), "text")
    assert twins.dropped_ids == 2
    assert turned(native(rename), "native") == native(rename)


def swap(messages):
    messages[3]["tool_call_id"], messages[4]["tool_call_id"] = "call00002", "call00001"


def words_like_a_call(messages):
    messages[-1]["content"] = 'tool_call: x\narguments: {"a": 1}'


def blank_words(messages):
    messages[2]["content"] = "\n"


REFUSED = {
    "results in another order": (native(swap), "result-order"),
    "words that look like a call": (native(words_like_a_call), "no-text-form"),
    "words that are blank": (native(blank_words), "not-the-same"),
    "broken arguments": (rows.row(rows.call_text(args='{"a": ')), "not-json"),
    "a key twice": (rows.row(rows.call_text(args='{"a": 1, "a": 2}')), "duplicate-key"),
    "a turn with a further key": (
        {"conversations": [{"role": "user", "content": "x", "weight": 0}, rows.row()["conversations"][1]]},
        "unknown-key",
    ),
    "no conversation": ({"label": True}, "bad-row"),
    "a label that is no bool": (rows.row(label="yes"), "bad-label"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_would_be_lost_is_refused_with_line_and_code(case):
    row, code = REFUSED[case]
    with pytest.raises(CannotRun, match=f"^rows.jsonl:7: {code}: "):
        Twins("text").row("rows.jsonl", 7, row)


def test_a_refused_row_leaves_the_old_file(tmp_path):
    data, out = tmp_path / "a.jsonl", tmp_path / "b.jsonl"
    out.write_text("old")
    data.write_text("\n".join(json.dumps(row) for row in (rows.row(), rows.row(), REFUSED["broken arguments"][0])))
    result = run(data, "--format", "native", "--out", out)
    assert result.exit_code == 2 and f"{data}:3: not-json: turn 2, line" in result.stderr
    assert out.read_text() == "old" and sorted(path.name for path in tmp_path.iterdir()) == ["a.jsonl", "b.jsonl"]


def test_the_file_itself_is_replaced_only_with_force(tmp_path):
    data = tmp_path / "a.jsonl"
    data.write_text(json.dumps(rows.row()) + "\n")
    assert run(data, "--format", "native", "--out", data).exit_code == 2
    assert run(data, "--format", "native", "--out", data, "--force").exit_code == 0
    assert "messages" in json.loads(data.read_text())


def test_rows_are_streamed(tmp_path, monkeypatch):
    """The first row is written before the last is read."""
    events = []
    monkeypatch.setattr(
        "lib.jsonl.read_rows", lambda path: ((n, events.append(f"r{n}") or rows.row()) for n in range(3))
    )
    real = Twins.row
    monkeypatch.setattr(Twins, "row", lambda self, *args: events.append("w") or real(self, *args))
    data = tmp_path / "a.jsonl"
    data.write_text("{}")
    assert run(data, "--format", "native", "--out", tmp_path / "b.jsonl").exit_code == 0
    assert events == ["r0", "w", "r1", "w", "r2", "w"]
