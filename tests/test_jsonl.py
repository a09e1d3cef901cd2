"""lib/jsonl.py: numbered lines, exact complaints, files whole or not at all."""

import json

import pytest

from lib.errors import CannotRun
from lib.jsonl import append_row, read_lines, read_rows, write_json, write_rows, write_text


@pytest.fixture
def file(tmp_path):
    def make(content: bytes):
        path = tmp_path / "rows.jsonl"
        path.write_bytes(content)
        return path

    return make


def test_lines_keep_their_numbers_when_blank_ones_are_skipped(file):
    assert list(read_lines(file(b'{"a": 1}\n\n  \n{"a": 2}'))) == [(1, b'{"a": 1}'), (4, b'{"a": 2}')]


def test_byte_order_mark_and_crlf_are_taken_off(file):
    assert list(read_lines(file(b'\xef\xbb\xbf{"a": 1}\r\n{"a": 2}\r\n'))) == [(1, b'{"a": 1}'), (2, b'{"a": 2}')]


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(CannotRun, match=r"none\.jsonl: no such file"):
        list(read_lines(tmp_path / "none.jsonl"))


def test_a_directory_is_refused(tmp_path):
    with pytest.raises(CannotRun, match="is a directory"):
        list(read_lines(tmp_path))


def test_an_empty_file_is_refused(file):
    with pytest.raises(CannotRun, match="the file is empty"):
        list(read_lines(file(b"")))


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_utf16_is_refused_with_advice(file, encoding):
    with pytest.raises(CannotRun, match="UTF-16 text. Save it as UTF-8"):
        list(read_lines(file("\ufeff{}".encode(encoding))))


@pytest.mark.parametrize(
    "line, words",
    [(b"{", "not JSON"), (b"[1]", "not a JSON object"), (b'{"a": "\xff"}', "not JSON"), (b"null", "not a JSON object")],
)
def test_the_first_bad_row_is_named_with_its_line(file, line, words):
    path = file(b'{"a": 1}\n\n' + line + b"\n")
    with pytest.raises(CannotRun) as caught:
        list(read_rows(path))
    assert f"{path}:3: " in caught.value.message
    assert words in caught.value.message


def test_rows_come_back_as_written(tmp_path):
    rows = [{"text": "ä\n\u2028", "n": 1.5}, {}, {"deep": [{"a": None}]}]
    path = tmp_path / "new" / "rows.jsonl"
    assert write_rows(path, rows) == 3
    assert [row for _, row in read_rows(path)] == rows
    assert "ä" in path.read_text(encoding="utf-8")


def test_a_failed_write_leaves_the_old_file_and_no_part(tmp_path):
    path = tmp_path / "rows.jsonl"
    write_text(path, "old")

    def rows():
        yield {"a": 1}
        raise RuntimeError("midway")

    with pytest.raises(RuntimeError):
        write_rows(path, rows())
    assert path.read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["rows.jsonl"]


def test_json_is_written_indented(tmp_path):
    write_json(tmp_path / "x.json", {"ä": [1]})
    assert (tmp_path / "x.json").read_text(encoding="utf-8") == '{\n "ä": [\n  1\n ]\n}\n'


def test_an_appended_row_is_on_disk_at_once(tmp_path):
    path = tmp_path / "log.jsonl"
    with open(path, "w", encoding="utf-8") as handle:
        append_row(handle, {"step": 5})
        assert json.loads(path.read_text()) == {"step": 5}
