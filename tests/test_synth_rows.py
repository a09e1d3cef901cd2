"""Positives: what becomes a row, and the coded reason when something does not."""

import pytest
import yaml

from lib.chat import example_from_row
from lib.errors import CannotRun
from lib.synth.material import Material, read_intents, read_yaml
from lib.synth.rows import Reject, Worlds, example_row, make_candidate
from lib.synth.worlds import candidates as slot_values
from lib.synth.worlds import expand
from lib.toolset import load_toolset
from lib.vault import digest
from tests.synth_support import (
    APPEND,
    LOOK_UP,
    MOVE,
    QUOTAS,
    READ,
    WORDS,
    WORLD,
    candidates,
    intent,
    material,
    world,
)

SERIES = """
series:
  - {path: "Log/{date}.md", every: 10, count: [3, 5], head: "# Day {date}", pick: [2, 3], tags: [log, sail],
     lines: [wind west 3, no wind, rain, <crew> steered, fog till noon, "bilge: dry"]}
"""


def rejected(folder, text, **changes):
    """The reject codes of an intent that yields no row."""
    made, funnel = candidates(folder, intent(text, **changes))
    assert made == []
    return set(funnel.rejects)


def test_an_intent_from_yaml_gets_rows_without_any_code(tmp_path):
    path = tmp_path / "new.yaml"
    path.write_text("- " + APPEND.strip().replace("\n", "\n  "), encoding="utf-8")
    made, funnel = candidates(tmp_path, *read_intents(path))
    assert len(made) >= 6
    assert {item.intent.id for item in made} == {"append-line"}
    assert len({item.request for item in made}) == len(made)


def test_every_row_is_valid_and_its_result_comes_from_the_run(tmp_path):
    made, _ = candidates(tmp_path)
    assert {item.intent.id for item in made} == {"append-line", "move-note", "switch-agent", "answer-from-note"}
    for item in made:
        row = example_row(item.request, item.run, item.answer, True)
        example, faults = example_from_row(row)
        assert faults == []
        assert row["label"] is True
        for call, step in zip(example.calls, item.run.steps, strict=True):
            assert load_toolset().check(call.name, call.arguments) == []
            assert call.arguments == step.arguments and step.ok
            assert next(iter(call.arguments)) == "context"


def test_a_path_that_nobody_said_makes_the_row_invisible(tmp_path):
    plain = {"goal": ["Tidy up"], "subgoal": ["Move one note"], "memory": ["User named a note"]}
    assert rejected(tmp_path, MOVE, asks={"order": ["Archive {move.note.title}."]}, context=plain) == {"invisible"}


def test_a_context_or_closing_that_tells_what_was_not_seen_rejects_the_row(tmp_path):
    assert rejected(tmp_path, LOOK_UP, context={"goal": ["{who.description}"]}) == {"unseen"}
    assert rejected(tmp_path, MOVE, closes=["{move.note.text}"]) == {"unseen"}


def test_a_lookup_makes_an_id_visible(tmp_path):
    made, _ = candidates(tmp_path, intent(LOOK_UP))
    assert made and len(made[0].run.steps) == 2


def test_an_id_without_a_lookup_is_invisible(tmp_path):
    plan = yaml.safe_load(LOOK_UP)["plan"][1:]
    assert rejected(tmp_path, LOOK_UP, plan=plan) == {"invisible"}


def test_a_call_that_can_be_dropped_makes_the_row_droppable(tmp_path):
    look = {"tool": "contentManager_readContent", "with": {"filePath": "{move.note.path}"}}
    assert rejected(tmp_path, MOVE, plan=[look, *yaml.safe_load(MOVE)["plan"]]) == {"droppable"}


def test_a_goal_that_does_not_hold_rejects_the_row(tmp_path):
    assert rejected(tmp_path, MOVE, goal={"exists": "Elsewhere.md"}) == {"goal"}


def test_a_call_that_fails_rejects_the_row_unless_it_is_declared(tmp_path):
    plan = yaml.safe_load(READ)["plan"]
    plan[0]["with"]["filePath"] = "{q.note.title}.md"
    assert rejected(tmp_path, READ, plan=plan, closes=["Here it is."]) == {"failed"}
    repaired = [{**plan[0], "fails": "not found"}, *yaml.safe_load(READ)["plan"]]
    made, _ = candidates(tmp_path, intent(READ, plan=repaired, kind="repair"))
    assert made and not made[0].run.steps[0].ok and made[0].run.steps[1].ok


def test_a_search_that_finds_nothing_is_kept_when_it_is_declared(tmp_path):
    read = yaml.safe_load(READ)["plan"]
    search = {"tool": "vaultLibrarian_searchContent", "with": {"query": "kayak"}, "empty": True}
    asks = {"question": ['Anything on "kayak"? If not, what does {q.note.path} say about {q.ask}, "{q.answer}"?']}
    made, _ = candidates(tmp_path, intent(READ, plan=[search, *read], kind="repair", asks=asks))
    assert made and made[0].run.steps[0].result["totalResults"] == 0
    found = {**search, "with": {"query": "{q.answer}"}}
    assert rejected(tmp_path, READ, plan=[found, *read], kind="repair", asks=asks) == {"not-empty"}


def test_a_closing_number_that_no_result_shows_is_unbacked(tmp_path):
    assert rejected(tmp_path, APPEND, closes=["Added 9999 characters."]) == {"unbacked"}


def test_a_question_answered_with_a_change_is_rejected(tmp_path):
    assert rejected(tmp_path, MOVE, kind="ask") == {"changed"}


def test_a_slot_the_world_cannot_fill_is_named(tmp_path):
    assert rejected(tmp_path, APPEND, slots={"add": "banners"}) == {"no-slot"}


def test_too_long_rows_are_rejected(tmp_path):
    made, funnel = candidates(tmp_path, intent(APPEND), max_characters=300)
    assert made == [] and set(funnel.rejects) == {"too-long"}


def test_a_seed_changes_the_vault_and_the_same_seed_does_not(tmp_path):
    written = world(tmp_path)
    vaults = [expand(written, seed).vault for seed in range(6)]
    assert len({digest(vault) for vault in vaults}) == 6
    assert digest(expand(written, 3).vault) == digest(vaults[3])
    crews = {vault.notes["Boat/Log.md"].text.rpartition(": ")[2] for vault in vaults}
    assert crews == {"Ada", "Ben"}


def test_a_note_named_by_a_date_was_made_that_day_and_nothing_is_from_the_future(tmp_path):
    written = world(tmp_path, WORLD.replace("Boat/Jobs.md", "Boat/2025-05-20 Jobs.md"))
    for seed in range(5):
        vault = expand(written, seed).vault
        note = vault.notes["Boat/2025-05-20 Jobs.md"]
        assert note.created // 86_400_000 == 1747699200000 // 86_400_000
        assert all(note.created <= note.modified < vault.now for note in vault.notes.values())


def test_records_about_a_note_that_a_seed_lacks_are_left_out(tmp_path):
    written = world(tmp_path)
    for seed in range(8):
        expanded = expand(written, seed)
        named = {str(record["note"]) for record in expanded.banks["additions"]}
        assert ("Harbour/Prices.md" in named) == ("Harbour/Prices.md" in expanded.vault.notes)


def test_a_record_with_an_old_passage_knows_its_line(tmp_path):
    assert expand(world(tmp_path), 0).banks["edits"][0]["line"] == 2


def test_ids_differ_from_row_to_row(tmp_path):
    made, _ = candidates(tmp_path)
    sessions = {item.run.steps[0].arguments["context"]["sessionId"] for item in made}
    assert len(sessions) == len(made)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"kind": "wish"}, "unknown kind 'wish'"),
        ({"asks": {"shout": ["x"]}}, "unknown speech act 'shout'"),
        ({"goal": None}, "needs a goal"),
        ({"goal": {"contains": "x"}}, "unknown goal 'contains'"),
        ({"closes": ["{nobody.path}"]}, "{nobody} is neither a slot"),
        ({"colour": "red"}, "unknown field 'colour'"),
        ({"closes": []}, "closes must hold"),
    ],
)
def test_a_fault_in_an_intent_names_file_and_intent(change, said):
    with pytest.raises(CannotRun) as caught:
        intent(APPEND, **change)
    assert "test.yaml: append-line" in caught.value.message
    assert said in caught.value.message


def test_only_true_and_false_are_flags_in_the_material(tmp_path):
    path = tmp_path / "words.yaml"
    path.write_text("{on: yes, off: no, flag: true, other: false, n: 3}", encoding="utf-8")
    assert read_yaml(path) == {"on": "yes", "off": "no", "flag": True, "other": False, "n": 3}


def test_a_fault_in_a_world_names_the_record(tmp_path):
    with pytest.raises(CannotRun, match="banks.edits, record 1: old is missing"):
        world(tmp_path, WORLD.replace('old: "Fuel: half"', 'was: "Fuel: half"'))


def boat_log(folder, text=SERIES):
    return world(folder, WORLD + text)


def logged(expanded):
    return {path: note.text for path, note in expanded.vault.notes.items() if path.startswith("Log/")}


def test_a_series_makes_dated_notes_by_seed(tmp_path):
    written = boat_log(tmp_path)
    logs = [logged(expand(written, seed)) for seed in range(6)]
    assert logs == [logged(expand(written, seed)) for seed in range(6)]
    assert len(set(map(str, logs))) == 6
    assert {len(log) for log in logs} == {3, 4, 5}
    dates = ["2025-05-22", "2025-05-12", "2025-05-02", "2025-04-22", "2025-04-12"]
    lines = ["wind west 3", "no wind", "rain", "Ada steered", "Ben steered", "fog till noon", "bilge: dry"]
    for log in logs:
        assert set(log) == {f"Log/{date}.md" for date in dates[: len(log)]}
        for path, text in log.items():
            assert text.startswith(f"---\ntags: [log, sail]\n---\n# Day {path[4:-3]}\n")
            drawn = text.split("\n")[4:]
            assert 2 <= len(drawn) == len(set(drawn)) <= 3 and set(drawn) <= set(lines)
    orders = {tuple(text.split("\n")[4:]) for log in logs for text in log.values()}
    assert any(lines.index(drawn[0]) > lines.index(drawn[1]) for drawn in orders)


def test_a_series_note_was_made_on_its_day(tmp_path):
    notes = expand(boat_log(tmp_path), 1).vault.notes
    assert notes["Log/2025-05-22.md"].created // 86_400_000 == 1747872000000 // 86_400_000


def test_a_series_changes_no_other_draw(tmp_path):
    for seed in range(6):
        plain, with_log = expand(world(tmp_path), seed), expand(boat_log(tmp_path), seed)
        for path in logged(with_log):
            del with_log.vault.notes[path]
        with_log.vault.folders.discard("Log")
        assert digest(with_log.vault) == digest(plain.vault)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("every: 10, ", "", "series, record 1: every is missing"),
        ("every: 10", "every: 10, colour: red", "series, record 1: unknown field 'colour'"),
        ("every: 10", "every: 0", "every must be a number of days"),
        ("count: [3, 5]", "count: [5, 3]", "count must be two whole numbers"),
        ("pick: [2, 3]", "pick: 2", "pick must be two whole numbers"),
        ("pick: [2, 3]", "pick: [2, 9]", "pick takes up to 9 lines, but only 6 are there"),
        ("no wind", "2", "lines must be text"),
        ("no wind", "rain", "the line 'rain' is there twice"),
        ("Log/{date}.md", "Log/Day.md", "path must hold {date}"),
        ("Log/{date}.md", "Boat/Log {date}.md", "Boat/Log 2025-05-12.md is also another note"),
    ],
)
def test_a_fault_in_a_series_names_file_and_record(tmp_path, old, new, said):
    clash = WORLD.replace("Boat/Log 2024.md", "Boat/Log 2025-05-12.md")
    with pytest.raises(CannotRun) as caught:
        world(tmp_path, clash + SERIES.replace(old, new))
    assert "boat.yaml: series, record 1: " in caught.value.message
    assert said in caught.value.message


ASIDES = """
asides:
  before: [The wind died down before noon and so Archive/Log 2024.md and Archive/Jobs.md came up.]
  after: [It has waited long enough.]
"""


VAGUE = {"goal": ["Tidy up"], "subgoal": ["Move one note"], "memory": ["User named a note"]}


def test_asides_stand_around_some_requests_and_nothing_is_judged_by_them(tmp_path):
    asks = ["Move {move.note.path} to {move.to}.", "Make it {move.to}, it is {move.note.path}"]
    whole, hidden = (
        intent(MOVE, asks={"order": asks}),
        intent(MOVE, asks={"order": ["Archive {move.note.title}."]}, context=VAGUE),
    )
    worlds = Worlds(Material({"boat": world(tmp_path, WORLD + ASIDES)}, (whole, hidden), WORDS, QUOTAS), 4)
    made = [make_candidate(whole, number, worlds, WORDS, 2600) for number in range(90)]
    told = [item for item in made if item.request.startswith("The wind")]
    assert 3 < len(told) < 30
    for item in told:
        assert item.request.endswith("It has waited long enough.") == ("Make it" not in item.request)
        assert "wind" not in str(item.run.steps[0].arguments["context"])
    for number in range(30):
        with pytest.raises(Reject, match="invisible"):
            make_candidate(hidden, number, worlds, WORDS, 2600)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [("  after: [It has waited long enough.]\n", "", "asides.after: write a list"),
     ("enough.]", "enough]", "must be a text that ends in ."), ("after:", "later:", "unknown place 'later'")],
)  # fmt: skip
def test_a_fault_in_asides_names_file_and_place(tmp_path, old, new, said):
    with pytest.raises(CannotRun) as caught:
        world(tmp_path, WORLD + ASIDES.replace(old, new))
    assert "boat.yaml: asides" in caught.value.message and said in caught.value.message


def test_two_series_cannot_share_notes(tmp_path):
    with pytest.raises(CannotRun, match="series, record 2: Log/2025-05-22.md is also another note"):
        boat_log(tmp_path, SERIES + SERIES.split("series:\n")[1])


def test_worlds_are_built_once(tmp_path):
    worlds = Worlds(material(tmp_path), 4)
    assert worlds.get("boat", 1) is worlds.get("boat", 1)


def test_other_than_leaves_out_the_same_folder_the_folder_of_a_note_and_the_note_of_a_record(tmp_path):
    expanded = expand(world(tmp_path), 0)
    archive = next(item for item in expanded.entities["folder"] if item["path"] == "Archive")
    move = expanded.banks["moves"][0]
    scope = {"a": archive, "m": move}
    assert archive not in slot_values(expanded, {"folder": {"other_than": "a"}}, scope)
    assert "Boat" in [item["path"] for item in slot_values(expanded, {"folder": {"other_than": "a"}}, scope)]
    assert "Boat" not in [item["path"] for item in slot_values(expanded, {"folder": {"other_than": "m.note"}}, scope)]
    assert move["note"] not in slot_values(expanded, {"note": {"other_than": "m"}}, scope)


def test_a_memory_without_a_name_of_its_own_begins_with_its_words_and_ends_with_those_of_the_request(tmp_path):
    plain = {"goal": ["Tidy up"], "subgoal": ["Move one note"], "memory": ["User named a note"]}
    made, _ = candidates(tmp_path, intent(MOVE, context=plain))
    memories = [row.run.steps[0].arguments["context"]["sessionMemory"] for row in made]
    for row, memory in zip(made, memories, strict=True):
        said, _, quoted = memory.partition(": ")
        assert said == "User named a note" and 3 <= len(quoted.split()) <= 7
        assert quoted in row.request.replace('"', "")
    assert len(set(memories)) > 1
    named, _ = candidates(tmp_path, intent(MOVE, context={**plain, "memory": ["User named {move.note.title}"]}))
    assert all(": " not in row.run.steps[0].arguments["context"]["sessionMemory"] for row in named)
