"""A changed toolset: renames are recognised, broken rows listed exactly, rows that need new names are mended."""

import copy
import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from lib.drift import find_renames
from lib.jsonl import read_rows, write_rows
from lib.toolset import DEFAULT_TOOLS, load_toolset
from scripts.drift import first_difference, main

ROWS = 120


@pytest.fixture(scope="module")
def rows():
    return [
        row
        for _, row in zip(range(ROWS), (row for _, row in read_rows("datasets/syngen_tools_sft.jsonl")), strict=False)
    ]


def changed(tmp_path, change) -> Path:
    """A toolset file after change(tools by name, list of tools)."""
    data = copy.deepcopy(json.loads(Path(DEFAULT_TOOLS).read_text(encoding="utf-8")))
    change({tool["name"]: tool for tool in data["tools"]}, data["tools"])
    path = tmp_path / "tools.json"
    path.write_text(json.dumps(data), encoding="utf-8")
    return path


def run(tmp_path, rows, tools, *more):
    data = tmp_path / "rows.jsonl"
    write_rows(data, rows)
    line = [str(data), "--old", str(DEFAULT_TOOLS), "--new", str(tools), "--json", *map(str, more)]
    result = CliRunner().invoke(main, line)
    assert result.exit_code in (0, 1), result.output
    return result.exit_code, json.loads(result.stdout)


def lines_with(rows, text):
    return [number for number, row in enumerate(rows, 1) if text in row["conversations"][-1]["content"]]


def test_the_same_toolset_breaks_nothing(tmp_path, rows):
    code, report = run(tmp_path, rows, DEFAULT_TOOLS)
    assert code == 0 and report["same"] == report["rows"] == ROWS and not report["migrated"]


def test_a_renamed_tool_is_mended_in_every_row_that_calls_it(tmp_path, rows):
    def rename(tools, _):
        tools["vaultManager_moveNote"]["name"] = "vaultManager_relocateNote"

    out = tmp_path / "mended.jsonl"
    code, report = run(tmp_path, rows, changed(tmp_path, rename), "--out", out)
    touched = lines_with(rows, "tool_call: vaultManager_moveNote\n")
    assert touched and code == 0
    assert report["renamed"]["tools"] == {"vaultManager_moveNote": "vaultManager_relocateNote"}
    assert report["migrated"] == touched and report["broken"] == []
    written = [row for _, row in read_rows(out)]
    assert len(written) == ROWS and not lines_with(written, "tool_call: vaultManager_moveNote\n")
    assert lines_with(written, "tool_call: vaultManager_relocateNote\n") == touched


def test_a_renamed_parameter_is_mended_and_results_stay(tmp_path, rows):
    def rename(tools, _):
        parameters = tools["contentManager_readContent"]["parameters"]
        parameters["properties"] = {
            {"filePath": "path"}.get(key, key): value for key, value in parameters["properties"].items()
        }
        parameters["required"] = [{"filePath": "path"}.get(key, key) for key in parameters["required"]]

    code, report = run(tmp_path, rows, changed(tmp_path, rename))
    assert report["renamed"]["parameters"] == {"contentManager_readContent": {"filePath": "path"}}
    assert code == 0 and report["migrated"] == lines_with(rows, "tool_call: contentManager_readContent\n")


def test_a_dropped_tool_breaks_exactly_the_rows_that_call_it(tmp_path, rows):
    def drop(tools, listed):
        listed.remove(tools["vaultManager_openNote"])

    out = tmp_path / "left.jsonl"
    code, report = run(tmp_path, rows, changed(tmp_path, drop), "--out", out)
    touched = lines_with(rows, "tool_call: vaultManager_openNote\n")
    assert touched and code == 1
    assert [row["line"] for row in report["broken"]] == touched
    assert {row["findings"][0]["code"] for row in report["broken"]} == {"unknown-tool"}
    assert sum(1 for _ in read_rows(out)) == ROWS - len(touched)


def test_a_narrowed_enum_breaks_only_the_rows_with_the_value_that_went(tmp_path, rows):
    def narrow(tools, _):
        tools["vaultManager_openNote"]["parameters"]["properties"]["mode"]["enum"].remove("tab")

    code, report = run(tmp_path, rows, changed(tmp_path, narrow))
    broken = [row["line"] for row in report["broken"]]
    assert set(broken) <= set(lines_with(rows, '"mode": "tab"')) and code == (1 if broken else 0)
    assert all(row["findings"][0]["code"] == "bad-enum" for row in report["broken"])


def test_two_that_fit_alike_are_no_rename(tmp_path):
    def twice(tools, listed):
        gone = tools["vaultManager_deleteNote"]
        listed.remove(gone)
        listed += [{**gone, "name": "vaultManager_binNote"}, {**gone, "name": "vaultManager_dropNote"}]

    renames = find_renames(load_toolset(), load_toolset(changed(tmp_path, twice)))
    assert renames.tools == {}


def test_rows_that_were_wrong_before_are_not_counted(tmp_path, rows):
    wrong = copy.deepcopy(rows[:5])
    for row in wrong:
        row["conversations"][-1]["content"] = 'tool_call: vaultManager_fly\narguments: {"height": 3}'
    code, report = run(tmp_path, wrong, DEFAULT_TOOLS)
    assert code == 0 and report["same"] == 5


def test_a_mended_row_is_run_again_where_its_proof_lies_beside_it(tmp_path, rows):
    proofs = [proof for _, proof in read_rows("datasets/syngen_tools_sft.proof.jsonl")][:ROWS]
    write_rows(tmp_path / "rows.proof.jsonl", proofs)

    def rename(tools, _):
        tools["vaultManager_moveNote"]["name"] = "vaultManager_relocateNote"

    _, report = run(tmp_path, rows, changed(tmp_path, rename), "--out", tmp_path / "out.jsonl")
    # The simulator has no function of the new name yet: every mended row is told apart, none is passed over.
    assert [row["line"] for row in report["differs"]] == report["migrated"]


def test_a_row_proved_in_a_changed_vault_is_run_again_in_that_vault():
    from lib.chat import example_from_row
    from lib.synth.material import load_material
    from lib.synth.rows import Worlds

    material = load_material()
    worlds = Worlds(material, material.quotas["seeds"])
    files = (read_rows(f"datasets/syngen_tools_sft{end}.jsonl") for end in ("", ".proof"))
    twins = [(row, proof) for (_, row), (_, proof) in zip(*files, strict=True) if proof.get("given")]
    assert len(twins) >= 40
    assert [first_difference(example_from_row(row)[0], worlds, proof) for row, proof in twins] == [None] * len(twins)
