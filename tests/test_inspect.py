"""`make inspect`: rows as the model sees them, in colour, the tokens of each role, and a refusal of a wrong mask."""

import json

import pytest
from click.testing import CliRunner

from lib import rendering
from lib.jsonl import write_rows
from scripts.inspect import STYLES, main
from tests.tiny_model import call_row, write_tiny_model


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """(a tiny base model's folder, a file of three rows)."""
    folder = tmp_path_factory.mktemp("inspect")
    write_rows(folder / "rows.jsonl", [call_row(number) for number in range(3)])
    return write_tiny_model(folder / "model"), folder / "rows.jsonl"


def inspect(files, *arguments, **settings):
    return CliRunner().invoke(main, ["--model", str(files[0]), *arguments, str(files[1])], **settings)


def test_each_role_has_its_colour_and_its_count(files, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    done = inspect(files, "--count", "2")
    assert done.exit_code == 0, done.output
    trained = "\x1b[1;32m"  # rich's bold green
    assert trained in done.output and "noteKeeper_add" in "".join(done.output.split(trained)[1:]).replace("\x1b[0m", "")
    counts = json_rows(files, "--count", "2")
    for role in STYLES:
        total = sum(row["roles"].count(role) for row in counts)
        assert f"{total} " in next(
            line for line in done.output.splitlines() if f"{role}\x1b" in line or f" {role} " in line
        )


def json_rows(files, *arguments):
    return json.loads(inspect(files, "--json", *arguments).stdout)


def test_rows_can_be_chosen_and_read_by_a_program(files):
    (row,) = json_rows(files, "--line", "3", "--count", "1")
    assert row["place"].endswith("rows.jsonl:3") and "note 2" in row["text"]
    assert len(row["input_ids"]) == len(row["labels"]) == len(row["roles"])
    assert {label for label, role in zip(row["labels"], row["roles"], strict=True) if role == "prompt"} == {-100}


def test_a_line_beyond_the_file_is_refused(files):
    done = inspect(files, "--line", "9")
    assert done.exit_code == 2 and "there is no row 9" in done.output


@pytest.mark.parametrize("role, said", [("trained", "100 %"), ("prompt", "0 %")])
def test_a_mask_of_all_or_nothing_is_refused(files, monkeypatch, role, said):
    real = rendering.render

    def spoiled(*arguments):
        row = real(*arguments)
        row.roles[:] = [role] * len(row.roles)
        return row

    monkeypatch.setattr(rendering, "render", spoiled)
    done = inspect(files)
    assert done.exit_code == 2 and said in done.output
