"""Templates: placeholders, types, gaps."""

import pytest

from lib.synth.templates import Entity, Gap, fill, fill_text, names_in, sentence_case

SCOPE = {
    "add": {"note": Entity(path="Projects/Plan B.md", text="x"), "line": "- [ ] ring"},
    "result": {"data": {"results": [{"path": "A/b.md"}], "count": 3, "done": False}},
}


def test_an_entity_prints_its_path_and_a_path_gives_title_and_folder():
    assert fill_text("{add.note}: {add.note.path.title} in {add.note.path.folder}", SCOPE) == (
        "Projects/Plan B.md: Plan B in Projects"
    )


def test_a_lone_placeholder_keeps_its_type():
    assert fill({"n": "{result.data.count}", "flag": "{result.data.done}", "s": "n={result.data.count}"}, SCOPE) == {
        "n": 3,
        "flag": False,
        "s": "n=3",
    }


def test_an_entity_becomes_its_path_in_arguments():
    assert fill({"path": "{add.note}"}, SCOPE) == {"path": "Projects/Plan B.md"}


def test_an_absent_optional_leaves_the_argument_out():
    assert fill({"a": "{?add.tag}", "b": "{?add.line}"}, SCOPE) == {"b": "- [ ] ring"}


def test_a_missing_value_is_a_gap():
    with pytest.raises(Gap):
        fill_text("{result.data.results.4.path}", SCOPE)


def test_filters_change_the_value_and_unknown_ones_are_gaps():
    assert fill_text("{add.note.path|lower} {result.data.results|count}", SCOPE) == "projects/plan b.md 1"
    with pytest.raises(Gap):
        fill_text("{add.line|shout}", SCOPE)


def test_braces_that_name_nothing_stay():
    assert fill_text('{"a": 1} and {{date}}', SCOPE | {"date": "x"}) == '{"a": 1} and {x}'


def test_the_names_of_a_template_are_found_in_every_depth():
    assert names_in({"a": ["{x.y}", {"b": "{?z|lower}"}], "c": 4}) == {"x", "z"}


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("the note is there.", "The note is there."), ("well-known by now", "Well-known by now"),
        ("sortBy takes two values.", "sortBy takes two values."), ("imagen-4 drew it.", "imagen-4 drew it."),
        ("state_1761300000000_abcdefghi is loaded", "state_1761300000000_abcdefghi is loaded"),
        ("app:reload was run.", "app:reload was run."), ("file-explorer:new-file ran", "file-explorer:new-file ran"),
        ("agentManager_getAgent needs a name.", "agentManager_getAgent needs a name."), ("", ""),
    ],
)  # fmt: skip
def test_a_sentence_starts_with_a_capital_unless_it_starts_with_an_id(text, shown):
    assert sentence_case(text) == shown


def test_the_names_of_a_list_are_given_up_to_a_number():
    records = [{"id": str(n), "name": f"N{n}"} for n in range(8)]
    assert fill_text("{x|names}", {"x": records[:3]}) == "N0, N1 and N2"
    assert fill_text("{x|names}", {"x": records[:1]}) == "N0" and fill_text("{x|names}", {"x": []}) == ""
    assert fill_text("{x|names}", {"x": records}) == "N0, N1, N2, N3, N4 and others"
