"""lib/coverage.py and scripts/coverage.py: what is counted, and when the floor fails."""

import json

import pytest
from click.testing import CliRunner

from lib.chat import example_from_row
from lib.coverage import Coverage, value_places, values_at
from lib.toolset import load_toolset
from scripts.coverage import main
from tests import rows
from tests.rows import arguments, call_text

TOOLSET = load_toolset()


def covered(*given) -> Coverage:
    coverage = Coverage(TOOLSET)
    for row in given:
        coverage.add(example_from_row(row)[0])
    return coverage


OPEN = rows.row(call_text("vaultManager_openNote", arguments(path="a.md", mode="tab", focus=False)))
READ_TWICE = rows.row(f"{call_text()}\n\n{call_text()}")
TALK = rows.row("Which one?")


def test_examples_and_calls_are_counted_by_label():
    coverage = covered(READ_TWICE, READ_TWICE | {"label": False}, TALK, {"conversations": OPEN["conversations"]})
    name = "contentManager_readContent"
    assert coverage.examples == {"true": 2, "false": 1, "none": 1}
    assert (coverage.tool_examples[name, "true"], coverage.tool_calls[name, "true"]) == (1, 2)
    assert (coverage.tool_examples[name, "false"], coverage.tool_calls[name, "false"]) == (1, 2)
    assert coverage.positives("vaultManager_openNote") == 1
    assert coverage.calls_per_example == {2: 2, 0: 1, 1: 1}


def test_parameters_enum_values_and_booleans_are_counted_in_positive_calls_only():
    coverage = covered(OPEN, OPEN, OPEN | {"label": False})
    name = "vaultManager_openNote"
    assert coverage.parameters[name, "mode"] == 2
    assert coverage.values[name, "mode", "tab"] == 2
    assert (coverage.values[name, "focus", False], coverage.values[name, "focus", True]) == (2, 0)
    missing = [(place, value) for tool, place, value in coverage.missing_values() if tool == name]
    assert missing == [("mode", "split"), ("mode", "window"), ("mode", "current"), ("focus", True)]


def test_one_is_not_counted_as_true():
    row = rows.row(call_text("vaultManager_openNote", arguments(path="a.md", focus=1)))
    assert covered(row).values["vaultManager_openNote", "focus", True] == 0


def test_parameters_inside_lists_and_conditions_are_counted_once_a_call():
    operations = [{"type": "read", "params": {"filePath": "a.md"}}, {"type": "read", "params": {"filePath": "b.md"}}]
    coverage = covered(rows.row(call_text("contentManager_batchContent", arguments(operations=operations))))
    name = "contentManager_batchContent"
    assert coverage.parameters[name, "operations.params.filePath"] == 1
    assert coverage.values[name, "operations.type", "read"] == 1
    assert (name, "operations.params.oldContent") in coverage.missing_parameters()


def test_parameters_that_all_tools_share_are_left_out():
    places = {place for places in Coverage(TOOLSET).places.values() for place in places}
    assert "path" in places
    assert not {place for place in places if place.split(".")[0] in ("context", "workspaceContext")}


def test_tools_below_a_floor_and_invented_tools_are_named():
    coverage = covered(READ_TWICE, rows.row(call_text("gitManager_commit", arguments())))
    assert coverage.below(1).keys() == TOOLSET.tools.keys() - {"contentManager_readContent"}
    assert coverage.below(2)["contentManager_readContent"] == 1
    assert coverage.unknown_tools() == {"gitManager_commit": 1}


def test_places_come_from_properties_items_and_branches():
    schema = {
        "properties": {"a": {"type": "boolean"}, "b": {"type": "array", "items": {"properties": {"c": {"enum": [1]}}}}},
        "anyOf": [{"properties": {"d": {}}}],
    }
    assert value_places(schema) == {"a": (True, False), "b": (), "b.c": (1,), "d": ()}
    assert value_places(schema, leave_out=["b"]).keys() == {"a", "d"}


def test_values_are_found_in_every_item_of_a_list():
    assert list(values_at({"a": [{"b": 1}, {"c": 2}, {"b": [3, 4]}, 5]}, ["a", "b"])) == [1, 3, 4]


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text("\n".join(map(json.dumps, [OPEN, READ_TWICE, TALK, OPEN | {"label": False}])))
    return path


def run(*args):
    return CliRunner().invoke(main, [str(arg) for arg in args])


def test_the_tables_show_labels_tools_and_gaps(file):
    result = run(file)
    assert result.exit_code == 0
    assert "4 examples (3 true, 1 false, 0 none), 4 calls" in result.stdout
    (line,) = [line for line in result.stdout.splitlines() if "vaultManager_openNote" in line]
    assert line.split() == ["vaultManager_openNote", "1", "1", "1", "1", "3/3", "2/6"]
    assert "in no positive call: " in result.stdout


def test_details_list_every_gap(file):
    assert '  vaultManager_openNote mode = "window"\n' in run(file, "--details").stdout


def test_json_holds_the_same_counts(file):
    counts = json.loads(run(file, "--json").stdout)
    assert counts["examples"] == {"true": 3, "false": 1}
    assert len(counts["tools"]) == 47
    tool = counts["tools"]["vaultManager_openNote"]
    assert tool["examples"] == {"true": 1, "false": 1, "none": 0}
    assert tool["parameters"]["focus"] == {
        "calls": 1,
        "values": [{"value": True, "calls": 0}, {"value": False, "calls": 1}],
    }
    assert counts["agents"]["vaultManager"] == {"calls": 2, "positive_calls": 1}


def test_a_tool_below_the_floor_ends_with_1_and_its_name(file):
    result = run(file, "--floor", 1)
    assert result.exit_code == 1
    assert "45 tools have fewer than 1 positive examples: get_tools, " in result.stderr
    assert json.loads(run(file, "--floor", 1, "--json").stdout)["below"]["get_tools"] == 0


def test_rows_with_faults_are_pointed_out(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps(rows.row(call_text(args="{"))))
    assert "1 rows have faults" in run(path).stderr


def test_a_missing_file_and_a_broken_line_cannot_be_counted(tmp_path):
    assert run(tmp_path / "none.jsonl").exit_code == 2
    path = tmp_path / "broken.jsonl"
    path.write_text("{")
    result = run(path)
    assert result.exit_code == 2
    assert f"{path}:1: not JSON" in result.stderr
