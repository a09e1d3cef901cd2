"""lib/dedup.py and scripts/dedup.py: which rows are left out, and that the others come through untouched."""

import json
import random
from functools import partial

import pytest
from click.testing import CliRunner

from lib import dedup
from lib.chunks import read_chunks
from lib.dedup import comparable, find_duplicates, text_of
from lib.likeness import jaccard
from scripts.dedup import main
from tests import rows
from tests.rows import call_text

WORDS = [f"word{number}" for number in range(500)]


def run(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def deduplicated(data, *options):
    """(counts, line numbers written, left-out entries) of a run on a file."""
    out = data.with_name("out.jsonl")
    result = run(data, "--out", out, "--json", *options)
    assert result.exit_code == 0, result.output
    left = data.with_name("out.left_out.jsonl").read_text()
    return json.loads(result.stdout), out.read_bytes().splitlines(), [json.loads(line) for line in left.splitlines()]


def row(seed, changed=0, **more):
    """A row of about 120 random words, of which the first `changed` are others."""
    words = random.Random(seed).choices(WORDS, k=100)
    words[:changed] = [f"{word}x" for word in words[:changed]]
    return rows.row(f"{call_text()}\n\n{' '.join(words)}", f"Question {seed}", **more)


def written(folder, *given):
    path = folder / "in.jsonl"
    lines = [line if isinstance(line, bytes) else json.dumps(line).encode() for line in given]
    path.write_bytes(b"".join(line + b"\n" for line in lines))
    return path


def test_the_first_of_equal_and_of_alike_rows_stays(tmp_path):
    given = [row(1), row(2), row(1), row(1, changed=2), row(2, label=False), row(3), row(1, changed=40)]
    counts, kept, left = deduplicated(written(tmp_path, *given))
    assert kept == [json.dumps(given[number]).encode() for number in (0, 1, 4, 5, 6)]
    assert {key: counts[key] for key in ("rows", "kept", "same", "alike")} == {
        "rows": 7, "kept": 5, "same": 1, "alike": 1,
    }  # fmt: skip
    assert left[0] == {"line": 3, "why": "same", "as": 1, "likeness": 1.0}
    assert (left[1]["line"], left[1]["why"], left[1]["as"]) == (4, "alike", 1) and 0.9 <= left[1]["likeness"] < 1


def test_at_1_only_equal_rows_are_left_out(tmp_path):
    counts, _, _ = deduplicated(written(tmp_path, row(1), row(1, changed=1), row(1)), "--jaccard", "1")
    assert (counts["same"], counts["alike"], counts["kept"]) == (1, 0, 2)


def test_what_equals_a_left_out_row_is_told_by_the_row_that_stays(tmp_path):
    _, kept, left = deduplicated(written(tmp_path, row(1), row(1, changed=2), row(1, changed=2)))
    assert len(kept) == 1 and [(entry["line"], entry["as"], entry["why"]) for entry in left] == [
        (2, 1, "alike"),
        (3, 1, "alike"),
    ]


def test_lines_come_through_byte_by_byte_whatever_stands_around_them(tmp_path):
    odd = b'{"label":true,  "conversations":[{"role":"user","content":"\\u00e9"},{"role":"assistant","content":"b"}]}'
    first, again = json.dumps(row(1)).encode(), json.dumps(row(1)).encode()
    data = written(tmp_path, b"\xef\xbb\xbf" + odd, b"", b"  " + first + b" \r", b"", again, odd)
    counts, kept, left = deduplicated(data)
    assert kept == [odd, first] and counts["rows"] == 4
    assert [(entry["line"], entry["as"]) for entry in left] == [(5, 3), (6, 1)]


def some_rows(count, seed):
    """Families of rows, each a few words apart, in no order."""
    rng = random.Random(seed)
    made = [row(rng.randrange(count // 4), changed=rng.choice((0, 0, 1, 3, 8, 20))) for _ in range(count)]
    return made


def one_by_one(given, threshold):
    """What comparing every row with all that stay gives: number -> numbers that it may stand for."""
    kept, out = [], {}
    texts = [text_of(json.dumps(each).encode())[0] for each in given]
    runs = [comparable(text) for text in texts]
    for number in range(len(given)):
        rivals = [other for other in kept if jaccard(runs[number], runs[other]) >= threshold]
        if rivals:
            out[number] = rivals
        else:
            kept.append(number)
    return out, runs


@pytest.mark.parametrize("chunk_bytes", [3000, 10**7])
@pytest.mark.parametrize("threshold", [0.9, 0.7])
def test_it_finds_what_comparing_all_rows_finds(tmp_path, monkeypatch, threshold, chunk_bytes):
    monkeypatch.setattr(dedup, "read_chunks", partial(read_chunks, chunk_bytes=chunk_bytes))
    given = some_rows(200, 5)
    expected, runs = one_by_one(given, threshold)
    found = find_duplicates(written(tmp_path, *given), threshold, tmp_path)
    left = {entry["line"] - 1: entry for entry in found.left_out()}
    for number, entry in left.items():
        rival = entry["as"] - 1
        assert rival not in left, "it stands for a row that stays"
        assert jaccard(runs[number], runs[rival]) >= threshold
    assert len(expected) > 80
    assert len(set(expected) - set(left)) <= 0.05 * len(expected)
    assert not list(tmp_path.glob("digest-*")) and not list(tmp_path.glob("band-*"))


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (b"{", "in.jsonl:3: not-jsonl: "),
        (b'{"question": "x"}', 'in.jsonl:3: bad-row: "conversations" is missing'),
        (b"\xff", "in.jsonl:3: bad-encoding: "),
    ],
)
def test_what_is_no_row_is_refused_with_its_line_and_nothing_is_written(tmp_path, line, words):
    data = written(tmp_path, row(1), b"", line, row(2))
    result = run(data, "--out", tmp_path / "out.jsonl")
    assert result.exit_code == 2 and words in result.stderr and "Nothing was written" in result.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["in.jsonl"]


def test_the_file_itself_is_replaced_only_with_force(tmp_path):
    data = written(tmp_path, row(1), row(1))
    assert run(data, "--out", data).exit_code == 2
    assert run(data, "--out", data, "--force").exit_code == 0
    assert len(data.read_bytes().splitlines()) == 1
    assert "1 of 1 rows" in run(data, "--out", data, "--force").stdout
