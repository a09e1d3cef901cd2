"""scripts/interleave.py: any labelled file in KTO order, byte by byte, with what was left over and the advice."""

import json
import random

import pytest
from click.testing import CliRunner

from lib.chat import example_from_row, to_native_row
from lib.interleaving import GAP
from scripts.interleave import main
from tests import rows


def run(*args):
    return CliRunner().invoke(main, [str(arg) for arg in args])


def report_of(data, out, *args):
    result = run(data, "--out", out, "--json", *args)
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def row(number, label, prompt=None, native=False):
    made = rows.row(user=f"Question {number if prompt is None else prompt}", label=label, answer=number)
    return to_native_row(example_from_row(made)[0]) if native else made


@pytest.fixture
def write(tmp_path):
    def make(*lines, name="in.jsonl"):
        path = tmp_path / name
        path.write_bytes(b"".join(line if isinstance(line, bytes) else json.dumps(line).encode() for line in
                                  [part for line in lines for part in (line, b"\n")]))  # fmt: skip
        return path

    return make


def some_rows(count, prompts, seed=3):
    """Rows of both forms, three per prompt on average, with labels in no order."""
    random_ = random.Random(seed)
    return [row(n, random_.random() < 0.5, random_.randrange(prompts), n % 2 == 0) for n in range(count)]


def test_labels_alternate_and_prompts_stay_apart_in_both_forms(write, tmp_path):
    data, out = write(*some_rows(400, 130)), tmp_path / "out.jsonl"
    report = report_of(data, out)
    written = [example_from_row(json.loads(line))[0] for line in out.read_bytes().splitlines()]
    assert len(written) > 350
    assert [example.label for example in written] == [place % 2 == 0 for place in range(len(written))]
    last = {}
    for place, example in enumerate(written):
        asked = example.turns[0].text
        assert place - last.get(asked, -100) > GAP
        last[asked] = place
    assert report["alternates"] and not report["close_pairs"]
    assert set(report["shared_prompt_partners"]) == {"2", "4", "8", "16", "24"}
    assert not any(report["shared_prompt_partners"].values())


def test_both_forms_of_a_prompt_are_one_prompt(write, tmp_path):
    """With one prompt in two forms there is place for one row only."""
    report = report_of(write(row(1, True, "x"), row(2, False, "x", native=True)), tmp_path / "out.jsonl")
    assert report["written"] == {"true": 1, "false": 0}
    assert report["left_over"]["crowded"] == {"true": 0, "false": 1}
    assert report["left_over_lines"] == [2]


def test_lines_are_copied_byte_by_byte(write, tmp_path):
    odd = b'{"label":true,  "conversations":[{"role":"user","content":"\\u00e9"},{"role":"assistant","content":"b"}]}'
    data = write(
        b"\xef\xbb\xbf" + odd,
        b"",
        b"  " + json.dumps(row(2, False)).encode() + b" \r",
        json.dumps(row(3, True)).encode(),
    )
    out = tmp_path / "deep" / "out.jsonl"
    report_of(data, out)
    assert out.read_bytes().splitlines() == [odd, json.dumps(row(2, False)).encode(), json.dumps(row(3, True)).encode()]


def test_every_row_is_written_or_named_as_left_over(write, tmp_path):
    made = some_rows(200, 10)
    data, out = write(*made), tmp_path / "out.jsonl"
    report = report_of(data, out)
    there = {json.loads(line)["answer"] for line in out.read_bytes().splitlines()}
    left = {made[line - 1]["answer"] for line in report["left_over_lines"]}
    assert left and there | left == set(range(200)) and not there & left
    over = report["left_over"]
    assert sum(over["surplus"].values()) + sum(over["crowded"].values()) == len(left)
    assert over["crowded"] != {"true": 0, "false": 0}


def test_a_surplus_is_left_out_evenly_and_said_why(write, tmp_path):
    data = write(*[row(n, n % 3 == 0) for n in range(300)])
    result = run(data, "--out", tmp_path / "out.jsonl")
    assert result.exit_code == 0 and result.stdout == ""
    assert "200 rows, True and False in turn" in result.stderr
    assert "left over: 0 true, 100 false: there are more rows of this label than of the other" in result.stderr
    lines = report_of(data, tmp_path / "out.jsonl")["left_over_lines"]
    assert max(b - a for a, b in zip(lines, lines[1:], strict=False)) <= 6


def test_a_last_row_alone_is_said(write, tmp_path):
    data = write(*[row(n, n % 2 == 0) for n in range(17)])
    assert report_of(data, tmp_path / "out.jsonl")["last_row_alone"] == [2, 4, 8, 16]
    assert "at batch size 2, 4, 8, 16 the last row stands alone" in run(data, "--out", tmp_path / "out.jsonl").stderr


def test_advice_names_both_ranges(write, tmp_path):
    data = write(*[row(n, n % 11 == 0) for n in range(110)])
    result = run(data, "--out", tmp_path / "out.jsonl")
    assert "weights, paper (weighted ratio 1 to 1.5): desirable_weight 10 to 15, undesirable_weight 1" in result.stderr
    assert "weights, TRL (weighted ratio 1 to 1.33): desirable_weight 10 to 13.3, undesirable_weight 1" in result.stderr
    assert "learning rate: 5e-07 to 5e-06 (TRL)" in result.stderr
    assert "beta: 0.1 (most cases)" in result.stderr


REFUSED = {
    "no label": (b'{"conversations": [{"role": "user", "content": "x"}]}', "bad-label: the row has no label"),
    "a label as text": (json.dumps(rows.row(label="true")).encode(), "bad-label: label must be true or false"),
    "a label of 1": (json.dumps(rows.row(label=1)).encode(), "bad-label: label must be true or false, not 1"),
    "a label twice": (json.dumps(rows.row())[:-1].encode() + b', "label": false}', "duplicate-key: "),
    "no user": (json.dumps({"conversations": rows.row()["conversations"][1:], "label": True}).encode(), "bad-row: "),
    "no JSON": (b'{"conversations": [', "not-jsonl: "),
    "no UTF-8": (b'{"label": "\xff"}', "bad-encoding: "),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_row_that_cannot_be_placed_is_refused_with_line_and_code(case, write, tmp_path):
    line, words = REFUSED[case]
    data, out = write(row(1, True), b"", line, row(2, False)), tmp_path / "out.jsonl"
    result = run(data, "--out", out)
    assert result.exit_code == 2
    assert f"{data}:3: {words}" in result.stderr
    assert not out.exists() and list(tmp_path.iterdir()) == [data]


def test_many_refused_rows_are_counted(write, tmp_path):
    result = run(write(*[{"conversations": []}] * 50), "--out", tmp_path / "out.jsonl")
    assert result.exit_code == 2
    assert result.stderr.count("bad-label") == 20 and "and 30 more rows" in result.stderr


def test_a_file_of_one_label_is_refused(write, tmp_path):
    result = run(write(row(1, True), row(2, True)), "--out", tmp_path / "out.jsonl")
    assert result.exit_code == 2 and "every row has the same label" in result.stderr


def test_the_file_itself_is_replaced_only_with_force(write, tmp_path):
    data = write(row(1, False), row(2, True), row(3, False), row(4, True))
    before = data.read_bytes()
    (tmp_path / "link.jsonl").symlink_to(data)
    for out in (data, tmp_path / "link.jsonl"):
        result = run(data, "--out", out)
        assert result.exit_code == 2 and "--force" in result.stderr
    assert data.read_bytes() == before
    assert run(data, "--out", data, "--force").exit_code == 0
    assert [json.loads(line)["label"] for line in data.read_bytes().splitlines()] == [True, False, True, False]


def test_a_failure_while_writing_keeps_the_old_file(write, tmp_path, monkeypatch):
    data, out = write(row(1, True), row(2, False)), write(b"old", name="out.jsonl")

    def broken(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("lib.jsonl.os.fsync", broken)
    result = run(data, "--out", out)
    assert result.exit_code == 2 and "No space left" in result.stderr
    assert out.read_bytes() == b"old\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.jsonl", "out.jsonl"]


def test_the_same_file_gives_the_same_order(write, tmp_path):
    data = write(*some_rows(150, 40))
    report_of(data, tmp_path / "a.jsonl")
    report_of(data, tmp_path / "b.jsonl")
    assert (tmp_path / "a.jsonl").read_bytes() == (tmp_path / "b.jsonl").read_bytes()
