"""lib/mutants and scripts/mutate.py: the validator catches every planted fault, and each of its rules is needed."""

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

import lib.validation
from lib import findings
from lib.chat import example_from_row
from lib.jsonl import read_rows
from lib.mutants.matrix import ENOUGH, OPERATORS, Matrix, check_valid, harmless, plant_all
from lib.mutants.places import places
from lib.mutants.seeds import choose_seeds, lines_of, seed_of
from lib.toolset import load_toolset
from lib.validation import check_lines
from scripts import mutate
from tests import rows

TOOLSET = load_toolset()
# Tools that between them have every kind of parameter: nested objects, enums, ranges, lists, paths, alternatives.
RICH = (
    "agentManager_batchExecutePrompt",
    "agentManager_generateImage",
    "agentManager_getAgent",
    "contentManager_batchContent",
    "vaultLibrarian_batch",
    "vaultLibrarian_searchDirectory",
    "vaultManager_openNote",
    "agentManager_createAgent",
)
# Where findings and faults are made: calls with the code as first argument, and tables.
SOURCES = ("validation", "findings", "toolset", "chat", "messages", "call_text", "json_text")
CODE_TABLES = (findings.CODES, findings.CONTEXT_CODES, findings.CONTEXT_FIELD_CODES)


@pytest.fixture(scope="module")
def seeds():
    examples = (example_from_row(row)[0] for _, row in read_rows("datasets/syngen_tools_sft.jsonl"))
    return choose_seeds(examples, TOOLSET, 1)


def check(line):
    return check_lines([line], 1, TOOLSET).problems


def rule_codes():
    """Every code that lib/validation.py, lib/findings.py and the readers below them can report."""
    found = {code for table in CODE_TABLES for code in table.values()} | {"not-jsonl"}
    for name in SOURCES:
        text = Path(f"lib/{name}.py").read_text(encoding="utf-8")
        found |= set(re.findall(r'(?:(?:Fault|Finding|fault)\(\s*|code = |"assistant" else )"([a-z-]+)"', text))
    return sorted(found)


def test_every_rule_has_an_operator_and_every_operator_a_rule():
    assert set(rule_codes()) == {code for operator in OPERATORS for code in operator.codes}


def test_there_are_enough_operators_with_names_of_their_own():
    assert len({operator.name for operator in OPERATORS}) == len(OPERATORS) >= 40


def test_every_tool_has_a_seed(seeds):
    assert [name for name, found in seeds.items() if not found] == []
    assert len(seeds) == 47


def test_the_validator_catches_every_fault_and_raises_no_false_alarm(seeds):
    matrix = Matrix()
    for tool in RICH:
        for seed in seeds[tool]:
            plant_all(matrix, seed, check)
            for name, lines in harmless(seed):
                check_valid(matrix, name, lines, check)
    assert [(operator, tool) for operator, tool, _ in matrix.survivors] == []
    assert [(name, problems) for name, _, problems in matrix.alarms] == []
    assert [operator.name for operator in OPERATORS if not matrix.score(operator.name)[1]] == []
    assert matrix.score()[1] > 3000


@pytest.mark.parametrize("code", rule_codes())
def test_without_a_rule_a_cell_falls(code, seeds, monkeypatch):
    """Whatever a rule finds is thrown away: some operator then catches less."""
    real_row, real_line = lib.validation.check_row, lib.validation.read_line
    monkeypatch.setattr(
        "lib.validation.check_row",
        lambda *args: (lambda example, faults: (example, [f for f in faults if f.code != code]))(*real_row(*args)),
    )
    monkeypatch.setattr(
        "lib.validation.read_line",
        lambda line: (lambda row, faults: (row, [f for f in faults if f.code != code]))(*real_line(line)),
    )
    matrix = Matrix()
    needing = [operator for operator in OPERATORS if code in operator.codes]
    for tool in RICH:
        plant_all(matrix, seeds[tool][0], check, needing)
    assert any(matrix.share(operator.name) < ENOUGH for operator in needing)


NEVER = re.compile(r"(?!)")
PATH_RULES = {
    "SCHEME": (NEVER, "address"),
    "DRIVE": (NEVER, "drive"),
    "DOTS_ONLY": (NEVER, ".."),
    "LOOK_ALIKES": ({}, "look-alike separator"),
    "MOST_DECODINGS": (0, "percent-encoded"),
}


@pytest.mark.parametrize("rule", PATH_RULES)
def test_without_a_rule_of_paths_its_operator_falls(rule, seeds, monkeypatch):
    replacement, kind = PATH_RULES[rule]
    monkeypatch.setattr(f"lib.paths.{rule}", replacement)
    matrix = Matrix()
    operators = [operator for operator in OPERATORS if operator.name == f"path, {kind}"]
    plant_all(matrix, seeds["vaultManager_openNote"][0], check, operators)
    assert matrix.share() < ENOUGH


KEYWORDS = ("required", "additionalProperties", "type", "enum", "minimum", "maximum", "pattern", "format", "minLength",
            "maxLength", "minItems", "maxItems", "anyOf", "oneOf")  # fmt: skip


@pytest.mark.parametrize("keyword", KEYWORDS)
def test_without_a_keyword_of_the_schemas_a_cell_falls(keyword, seeds, tmp_path):
    def without(schema):
        if isinstance(schema, list):
            return [without(item) for item in schema]
        if not isinstance(schema, dict):
            return schema
        return {k: without(v) for k, v in schema.items() if k != keyword or not is_keyword(schema, v)}

    def is_keyword(schema, value):
        return not isinstance(value, dict)  # a parameter may have the name of a keyword: then its schema stands there

    data = json.loads(Path("configs/tools.json").read_text(encoding="utf-8"))
    for part in (*data["tools"], *data["$defs"].values()):
        kept = {"type": "object"} if "parameters" in part else {}
        if "parameters" in part:
            part["parameters"] = without(part["parameters"]) | kept
    data["$defs"] = {name: without(part) for name, part in data["$defs"].items()}
    (tmp_path / "tools.json").write_text(json.dumps(data))
    weaker = load_toolset(tmp_path / "tools.json")
    matrix = Matrix()
    calls = [operator for operator in OPERATORS if operator.section in ("call", "context", "ids")]
    for tool in RICH:
        plant_all(matrix, seeds[tool][0], lambda line: check_lines([line], 1, weaker).problems, calls)
    assert matrix.survivors


# ---------------------------------------------------------------- seeds and places


def seed(text=None):
    example, _ = example_from_row(rows.row(text))
    return seed_of(example, "contentManager_readContent", TOOLSET)


def test_a_seed_is_an_answered_call_with_words_after_it():
    assert seed().part == 0
    assert seed("Which plan do you mean?") is None
    assert seed(rows.call_text()) is None
    failed = rows.call_text(result='{"success": false, "error": "x"}')
    assert seed(f"{failed}\n\nSorry.") is None


def test_mutants_leave_the_seed_alone():
    one = seed()
    before = [bytes(line) for line in one.lines]
    matrix = Matrix()
    plant_all(matrix, one, check)
    assert [line for row in one.rows() for line in lines_of(row)] == before


def test_places_reach_absent_and_nested_parameters(seeds):
    (one,) = seeds["contentManager_batchContent"]
    steps = {place.steps for place in places(one.tool, one.arguments, TOOLSET)}
    assert () in steps and ("operations", 0, "params", "filePath") in steps
    assert not any("context" in place for place in steps)
    (one,) = seeds["vaultLibrarian_searchDirectory"]
    steps = {place.steps for place in places(one.tool, one.arguments, TOOLSET)}
    assert {("limit",), ("paths", 0), ("dateRange", "start")} <= steps


def test_an_operator_that_does_not_apply_plants_nothing(seeds):
    operator = next(operator for operator in OPERATORS if operator.name == "no value of the enum")
    assert list(operator.plant(seeds["vaultManager_createFolder"][0])) == []


# ---------------------------------------------------------------- the command


@pytest.fixture
def few(monkeypatch):
    """Three tools and a handful of operators, so that the command is quick."""
    kept = [
        operator for operator in OPERATORS if operator.name in ("unknown key", "memory empty", "no value of the enum")
    ]
    monkeypatch.setattr("lib.mutants.matrix.OPERATORS", kept)
    monkeypatch.setattr("lib.mutants.matrix.plant_all.__defaults__", (kept,))
    return kept


@pytest.fixture
def sample(tmp_path):
    """A file with one good row for each tool."""
    found = {}
    for _, row in read_rows("datasets/syngen_tools_sft.jsonl"):
        example, _ = example_from_row(row)
        for call in example.calls:
            if call.name not in found and seed_of(example, call.name, TOOLSET):
                found[call.name] = row
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in found.values()))
    return path


def run(*args):
    return CliRunner().invoke(mutate.main, [str(arg) for arg in args])


def test_the_command_prints_the_matrix_and_ends_with_0(few, sample):
    result = run(sample, "--rows", 1)
    assert result.exit_code == 0, result.output
    line = next(line for line in result.stdout.splitlines() if "no value of the enum" in line)
    assert "100.0 %" in line and set(line.split()[-1]) == {"#", "-"} and len(line.split()[-1]) == 47
    assert "0 false alarms" in result.stderr


def test_json_holds_every_cell(few, sample):
    result = run(sample, "--rows", 1, "--json")
    found = json.loads(result.stdout)
    assert set(found["operators"]) == {operator.name for operator in few}
    cells = found["operators"]["memory empty"]["tools"]
    assert len(cells) == 47 and all(killed == planted > 0 for killed, planted in cells.values())
    assert found["false_alarms"] == [] and found["below_limit"] == []


def test_a_missing_rule_ends_with_1_and_names_the_operator(few, sample, monkeypatch):
    monkeypatch.setattr("lib.findings.CONTEXT_FIELD_CODES", {})
    result = run(sample, "--rows", 1, "--show", 1)
    assert result.exit_code == 1
    assert "below 99%: memory empty" in result.stderr
    assert result.stderr.count("not caught: memory empty, ") == 1


def test_a_false_alarm_ends_with_1(few, sample, monkeypatch):
    real = lib.validation.result_problem
    monkeypatch.setattr("lib.validation.result_problem", lambda content: real(content) or "no")
    result = run(sample, "--rows", 1, "--show", 1)
    assert result.exit_code == 1 and "false alarm: " in result.stderr


def test_a_tool_without_a_row_is_named(few, tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps(rows.row()) + "\n")
    result = run(path)
    assert result.exit_code == 2 and "no valid row calls get_tools, vaultManager_" in result.stderr


def test_a_row_with_an_error_is_refused(few, tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps(rows.row()) + "\n" + json.dumps(rows.row(label=1)) + "\n")
    assert f"{path}:2: label must be" in run(path).stderr
