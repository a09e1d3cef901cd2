"""Selection: quotas by shape, pairs whole or not at all, caps, and no luck in the order of the candidates."""

from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lib.synth.plans import Step
from lib.synth.selection import rows_by_shape, select, trigrams
from lib.synth.sketches import Measures, Sketch, given_by, ways_of

CAPS = {"frame": 5, "value": 3, "world_share": 1}
SHARES = {"single": 0.5, "several": 0.2, "lookup": 0.2, "ask": 0.1}
TOOLS = ("append", "move", "read", "toggle")


def sketch(number, shape="single", tool="append", tools=None, twin="", key="", frame=""):
    words = f"{tool} the note {tool}{number} to {shape}{number} and then number {number * 31 % 97}"
    name = key or f"{tool}-{shape}"
    return Sketch(
        id=f"{number:04d}{twin[:1]}{tool}{shape}", intent=name, key=name, number=number,
        kind={"lookup": "lookup", "ask": "ask"}.get(shape, "act"), tool="" if shape == "ask" else tool,
        tools=tools or {"ask": ()}.get(shape, (tool,)), frame=frame or f"{tool}{shape}{number % 40}",
        binding=str(number),
        world=f"world{number % 4}", request=words, measures=Measures(30, 700, 1, 0, 40.0), twin=twin, shape=shape,
    )  # fmt: skip


def stock(each=60):
    units = [(sketch(n, shape, tool),) for shape in SHARES for tool in TOOLS for n in range(each)]
    for n in range(30):
        twin = f"pair/{n}"
        pair = (sketch(900 + n, "lookup", twin=twin, key="pair"), sketch(900 + n, "ask", twin=twin, key="pair"))
        units.append(pair)
    return units


def quotas(**changes):
    return {"caps": CAPS, "twins": 0.1, "least_per_tool": 0.05, **changes}


def test_the_quota_of_every_shape_is_held():
    chosen, short = select(stock(), 200, SHARES, quotas())
    assert Counter(item.shape for item in chosen) == {"single": 100, "several": 40, "lookup": 40, "ask": 20}
    assert short == []


def test_tools_take_turns():
    chosen, _ = select(stock(), 200, SHARES, quotas())
    tools = Counter(item.tool for item in chosen if item.tool)
    assert max(tools.values()) - min(tools.values()) <= 1 + 20  # a pair cannot choose its tool


def test_both_rows_of_a_pair_are_taken_or_none():
    chosen, _ = select(stock(), 200, SHARES, quotas())
    pairs = Counter(item.twin for item in chosen if item.twin)
    assert len(pairs) == 10
    assert set(pairs.values()) == {2}


def test_the_order_of_the_candidates_does_not_matter():
    units = stock(30)
    assert select(units, 120, SHARES, quotas())[0] == select(list(reversed(units)), 120, SHARES, quotas())[0]


def test_a_shape_that_runs_out_is_named_with_its_number_and_made_up_by_others():
    units = [unit for unit in stock() if unit[0].shape != "several" or unit[0].number < 5]
    chosen, short = select(units, 200, SHARES, quotas())
    assert len(chosen) == 200
    assert "several: 20 of 40 rows short" in short


def test_a_tool_below_its_floor_and_missing_pairs_are_named():
    units = [unit for unit in stock() if unit[0].tool != "move" or unit[0].number < 1]
    _, short = select(units, 200, SHARES, quotas(twins=0.5))
    assert "move: 3 rows, 10 wanted" in short
    assert [text for text in short if text.startswith("twins: ")]


def test_no_frame_world_or_value_is_used_more_often_than_allowed():
    units = [(sketch(n, frame=f"frame{n % 3}"),) for n in range(40)]
    chosen, short = select(units, 30, {"single": 1}, quotas(twins=0, caps={**CAPS, "frame": 4}))
    assert max(Counter(item.frame for item in chosen).values()) == 4
    assert "all shapes: 18 of 30 rows short" in short


def test_the_five_most_called_tools_stay_within_their_share():
    tools = [f"tool{n}" for n in range(20)]
    units = [(sketch(n * 50 + m, tool=name),) for n, name in enumerate(tools) for m in range(20)]
    units += [(sketch(2000 + n, "several", tool=tools[n % 20], tools=("tool0", tools[n % 20])),) for n in range(200)]
    shares = {"single": 0.5, "several": 0.5}
    chosen, _ = select(units, 200, shares, quotas(twins=0, top_five_calls=0.4))
    calls = Counter(tool for item in chosen for tool in item.tools)
    assert sum(number for _, number in calls.most_common(5)) <= 0.4 * 300
    free, _ = select(units, 200, shares, quotas(twins=0))
    assert Counter(tool for item in free for tool in item.tools)["tool0"] > calls["tool0"]


def test_preferred_rows_go_first():
    units = stock()
    preferred = frozenset(unit[0].id for unit in units[::3])
    chosen, _ = select(units, 40, SHARES, quotas(twins=0), preferred)
    assert sum(item.id in preferred for item in chosen) > 30


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 3000), st.dictionaries(st.sampled_from("abcdef"), st.floats(0.01, 1), min_size=1))
def test_rows_by_shape_add_up(total, shares):
    assert sum(rows_by_shape(total, shares).values()) == total


def test_trigrams_of_a_short_request_are_the_request():
    assert trigrams("Delete it") == {("delete", "it")}
    assert trigrams("a b c d") == {("a", "b", "c"), ("b", "c", "d")}


def test_choosing_leans_towards_the_shares_of_speech_acts():
    units = [(replace(sketch(n, shape, tool), act="order" if n % 4 == 0 else "short"),)
             for shape in SHARES for tool in TOOLS for n in range(60)]  # fmt: skip
    without, _ = select(units, 120, SHARES, quotas(twins=0))
    acts = {"order": 0.5, "short": 0.5}
    leaning, _ = select(units, 120, SHARES, quotas(twins=0, acts=acts))
    orders = [Counter(item.act for item in chosen)["order"] for chosen in (without, leaning)]
    assert orders[0] + 8 <= orders[1] <= 68


def test_choosing_leans_towards_the_ways_to_ask():
    units = [(replace(unit[0], ways=("question",) if n % 5 == 0 else ()),) for n, unit in enumerate(stock()[:960])]
    shares = {}
    for share in (None, 0.1, 0.3):
        chosen, _ = select(units, 120, SHARES, quotas(twins=0, ways={"question": share} if share else {}))
        shares[share] = sum("question" in item.ways for item in chosen) / 120
    assert abs(shares[0.1] - 0.1) < 0.05 and abs(shares[0.3] - 0.3) < 0.08


def test_what_few_candidates_give_is_taken_often_enough_or_named():
    rare = {5: ("parameter", "move", "depth"), 400: ("value", "read", "order", "asc"), 401: ("act", "read", "messy")}
    units = [(replace(unit[0], gives=(rare[n],) if n in rare else (("parameter", "all", "path"),)),)
             for n, unit in enumerate(stock()[:960])]  # fmt: skip
    least = {"parameter": 2, "value": 1, "act": 1}
    chosen, short = select(units, 60, SHARES, quotas(twins=0, least=least))
    given = Counter(name for item in chosen for name in item.gives)
    assert [given[name] for name in rare.values()] == [1, 1, 1]
    assert [text for text in short if "depth" in text or "order" in text or "messy" in text] == [
        "parameter move depth: 1 rows, 2 wanted"
    ]


def test_a_first_word_and_a_memory_stay_within_their_caps():
    units = [(replace(sketch(n), opening="please" if n % 2 else f"word{n}", memories=(f"memory{n % 30}",)),)
             for n in range(80)]  # fmt: skip
    chosen, _ = select(units, 40, {"single": 1}, quotas(twins=0, caps={**CAPS, "first_word": 0.2, "memory": 2}))
    assert Counter(item.opening for item in chosen)["please"] == 8
    assert max(Counter(text for item in chosen for text in item.memories).values()) <= 2


@pytest.mark.parametrize(
    ("request_", "ways"),
    [
        ("Open the log.", {"brief", "few_words", "imperative"}),
        ("open the log please", {"brief", "few_words", "imperative", "lower", "polite"}),
        ("I wonder whether it is there, is it?", {"brief", "first_person", "question"}),
        ("Word " * 40, {"many_words"}),
    ],
)
def test_ways_of_asking(request_, ways):
    assert set(ways_of(request_)) == ways


def test_what_a_row_gives_tells_flags_from_numbers_and_steps_into_lists():
    arguments = {"operations": [{"type": "read", "params": {"filePath": "A.md", "includeLineNumbers": True}}]}
    given = given_by("contentManager_batchContent", "order", [Step("contentManager_batchContent", arguments, {})])
    tool = "contentManager_batchContent"
    assert ("value", tool, "operations.params.includeLineNumbers", "True") in given
    assert ("value", tool, "operations.type", "read") in given
    assert ("parameter", tool, "operations.params.filePath") in given
    assert ("act", tool, "order") in given and (
        "value",
        tool,
        "operations.params.includeLineNumbers",
        "False",
    ) not in given
    assert given_by("", "order", []) == ()
