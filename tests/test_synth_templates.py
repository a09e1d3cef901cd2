"""Templates: placeholders, types, gaps."""

import pytest

from lib.synth.templates import Entity, Gap, fill, fill_text, names_in

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
