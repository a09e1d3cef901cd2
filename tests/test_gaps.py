"""The planner names what is missing, the cheapest first, and stops naming it once it is there."""

from dataclasses import replace

from lib.coverage import Coverage
from lib.gaps import find_gaps, wanted
from lib.gates import load_gates
from lib.synth.material import ACTS, BANKS, Intent, Material
from lib.toolset import load_toolset

WANTED = wanted()
TOOL = "vaultManager_deleteNote"


def test_what_is_wanted_is_what_the_gates_ask_for():
    gates = {gate.name: gate for gate in load_gates()["sft"]}
    assert WANTED["positives"] == gates["sft.fewest_positives"].low
    assert WANTED["intents"] == gates["sft.fewest_intents"].low
    assert f"fewer than {WANTED['parameter']} times" in gates["sft.rare_parameters"].what
    assert f"fewer than {WANTED['value']} times" in gates["sft.rare_values"].what


def intent(number, acts=ACTS):
    asks = tuple((act, "x") for act in acts)
    return Intent(f"i{number}", "a.yaml", "act", TOOL, {}, (), (), asks, ("y",), {}, (), (), 1.0, {}, "")


def full():
    """(material, coverage, tools) that lack nothing."""
    worlds = {f"w{n}": {"banks": {bank: [1] * WANTED["bank"] for bank in BANKS}} for n in range(WANTED["worlds"])}
    material = Material(worlds, tuple(intent(number) for number in range(WANTED["intents"])))
    toolset = load_toolset()
    coverage = Coverage(toolset)
    coverage.tool_examples[TOOL, "true"] = WANTED["positives"]
    for place, values in coverage.places[TOOL].items():
        coverage.parameters[TOOL, place] = WANTED["parameter"]
        for value in values:
            coverage.values[TOOL, place, value] = WANTED["value"]
    return material, coverage, {TOOL: toolset.tools[TOOL]}


def test_nothing_lacks_where_everything_is_there():
    assert find_gaps(*full()) == []


def test_a_missing_request_is_the_first_item_and_writing_it_closes_the_gap():
    material, coverage, tools = full()
    without = tuple(intent(number, [act for act in ACTS if act != "polite"]) for number in range(6))
    worlds = dict(material.worlds)
    worlds["w0"] = {"banks": {**worlds["w0"]["banks"], "moves": [1, 2]}}
    found = find_gaps(replace(material, intents=without, worlds=worlds), coverage, tools)
    assert [gap.what for gap in found] == [f"a request in the act 'polite' for {TOOL}", "records in banks.moves"]
    assert found[0].minutes == 1 and found[1] == replace(found[1], have=2, want=6, minutes=8, file="worlds/w0.yaml")
    mended = (*without[1:], intent(0))
    assert [gap.what for gap in find_gaps(replace(material, intents=mended, worlds=worlds), coverage, tools)] == [
        "records in banks.moves"
    ]


def test_removing_all_rows_and_intents_of_a_tool_is_told_with_what_is_wanted():
    material, coverage, tools = full()
    coverage.tool_examples.clear()
    found = find_gaps(replace(material, intents=material.intents[:2]), coverage, tools)
    assert {(gap.what.split(" of ")[0], gap.have, gap.want) for gap in found} == {("intents", 2, 6), ("rows", 0, 25)}
