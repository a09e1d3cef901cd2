"""Twins: two vaults, one request, and the right answer of the one is wrong in the other."""

from collections import Counter
from itertools import permutations

import pytest

from lib.errors import CannotRun
from lib.synth.given import changed_vault, fill_given
from lib.synth.negatives import proven_negatives
from lib.synth.rows import Reject, Worlds
from lib.synth.templates import Gap
from lib.synth.twins import check_pair, swapped
from lib.synth.workshop import Funnel, Workshop
from lib.synth.worlds import expand
from tests.synth_support import TWINS, WORDS, material, twins, world


@pytest.fixture
def sets(tmp_path):
    shop = Workshop(material(tmp_path, *twins(tmp_path)))
    return list(shop.candidates("line-unless-there", 8, Funnel()))


def refused(folder, text):
    """The reject codes of a twin that yields nothing."""
    funnel = Funnel()
    shop = Workshop(material(folder, *twins(folder, text)))
    assert list(shop.candidates("line-unless-there", 6, funnel)) == []
    return set(funnel.rejects)


def test_both_rows_share_request_and_look_up_and_part_after_its_result(sets):
    assert len(sets) >= 6
    for add, leave in sets:
        assert add.request == leave.request
        assert add.run.steps[0].arguments == leave.run.steps[0].arguments
        assert add.run.steps[0].result["data"] != leave.run.steps[0].result["data"]
        assert (len(add.run.steps), len(leave.run.steps)) == (2, 1)


def test_swapped_answers_fail_and_own_answers_pass(sets):
    for rows in sets:
        for one, other in permutations(rows, 2):
            assert swapped(one, one) is None
            assert swapped(one, other)[0] in ("goal", "effect")


def test_the_other_behaviour_becomes_a_negative(sets):
    reasons = {item.reason for rows in sets for row in rows for item in proven_negatives(row, WORDS, 2600, Counter())}
    assert "ignores-result" in reasons


def test_a_twin_whose_vaults_do_not_differ_is_refused(tmp_path):
    same = TWINS.replace('  given: {with: {"{add.note.path}": "{add.note.text}\\n{add.line}"}}\n', "")
    assert same != TWINS
    assert refused(tmp_path, same.replace('goal: {shows: "{add.line}"}', 'goal: {shows: "{add.note.path}"}')) == {
        "twin-same"
    }


def test_a_pair_of_which_one_answer_would_do_for_both_is_refused(sets):
    add, leave = sets[0]
    with pytest.raises(Reject) as caught:
        check_pair(leave, leave)
    assert caught.value.code == "twin-same"
    with pytest.raises(Reject) as caught:
        check_pair(add, sets[1][0])
    assert caught.value.code == "twin-request"


def test_twins_write_slots_and_asks_once(tmp_path):
    with pytest.raises(CannotRun, match="asks belongs to the first record of a twin"):
        twins(tmp_path, TWINS + "  asks: {order: ['x']}\n")
    with pytest.raises(CannotRun, match="has no second record"):
        twins(tmp_path, TWINS.partition("- id: line-that-is-there")[0])


def test_the_first_call_of_twins_must_be_the_same(tmp_path):
    head, mark, tail = TWINS.partition("- id: line-that-is-there")
    other = tail.replace('with: {filePath: "{add.note.path}"}', 'with: {filePath: "{add.note.path}", limit: 3}')
    with pytest.raises(CannotRun, match="first call of twin line-unless-there must be the same"):
        twins(tmp_path, head + mark + other)


def test_given_changes_a_clone_in_every_named_way(tmp_path):
    vault = expand(world(tmp_path), 0).vault
    given = {
        "without": ["Boat/Log 2024.md"],
        "with": {"Boat/New.md": "Text", "Spare/": "", "Boat/Log.md": "Changed"},
        "swap": {"Boat/Jobs.md": ["oil winch", "oil wheel"]},
        "agents": {"Tide reader": {"isEnabled": False}, "Cook": {"description": "Cooks", "prompt": "Cook."}},
    }
    changed = changed_vault(vault, given)
    assert set(changed.notes) - set(vault.notes) == {"Boat/New.md"}
    assert set(vault.notes) - set(changed.notes) == {"Boat/Log 2024.md"}
    assert changed.notes["Boat/Log.md"].text == "Changed"
    assert "oil wheel" in changed.notes["Boat/Jobs.md"].text
    assert "Spare" in changed.folders and "Spare" not in vault.folders
    agents = {agent.name: agent.is_enabled for agent in changed.agents.values()}
    assert agents == {"Tide reader": False, "Cook": True}
    assert changed_vault(vault, {"without": ["Tide reader", "Boat"]}).notes.keys() == vault.notes.keys() - {
        path for path in vault.notes if path.startswith("Boat/")
    }


@pytest.mark.parametrize("given", [{"without": ["Nowhere"]}, {"swap": {"Boat/Log.md": ["kayak", "x"]}}])
def test_a_given_that_finds_nothing_to_change_is_a_gap(tmp_path, given):
    with pytest.raises(Gap):
        changed_vault(expand(world(tmp_path), 0).vault, given)


def test_given_is_filled_in_keys_too():
    scope = {"n": {"path": "A.md", "text": "t"}}
    assert fill_given({"with": {"{n.path}": "{n.text}!"}, "without": ["{n.path}"]}, scope) == {
        "with": {"A.md": "t!"},
        "without": ["A.md"],
    }


def test_the_shipped_twins_all_yield_pairs():
    from lib.synth.material import load_material

    found = load_material()
    shop = Workshop(found)
    names = [key for key, members in shop.families.items() if len(members) > 1]
    assert len(names) >= 20
    silent = [key for key in names if not next(shop.candidates(key, 16, Funnel()), None)]
    assert silent == []
    assert isinstance(shop.worlds, Worlds)
