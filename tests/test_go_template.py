"""Our reading of Go templates against what Go itself makes of the same templates and data."""

import json
import shutil

import pytest

from lib.errors import CannotRun
from lib.go_template import parse, render
from tests.go_support import FOLDER, SYNTAX, jobs, rendered_by_go

EXPECTED = json.loads((FOLDER / "expected.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", SYNTAX)
def test_syntax_means_what_it_means_in_go(name):
    job = jobs()[name]
    assert render(parse(job["template"]), job["data"]) == EXPECTED[name]


def test_every_shipped_template_is_rendered_as_by_go():
    found = jobs()
    assert set(found) == set(EXPECTED) and len(found) > 90
    for name, job in found.items():
        assert render(parse(job["template"]), job["data"]) == EXPECTED[name], name


@pytest.mark.skipif(shutil.which("go") is None, reason="Go is not installed: apt install golang-go")
def test_the_answers_that_are_kept_are_those_of_the_go_of_this_machine():
    assert rendered_by_go() == EXPECTED


@pytest.mark.parametrize("text, said", [
    ("{{ if .System }}x", "leaves a {{ if }} open"),
    ("{{ .System", "without end"),
    ("{{ shout .System }}", "'shout'"),
    ("{{ .Sytem }}", "'.Sytem', which the data does not have"),
    ("{{ $x }}", r"'\$x', which is not known"),
    ('{{ template "other" . }}', "'other', which it does not define"),
    ("{{ .Tools }}", "prints a list"),
])  # fmt: skip
def test_what_is_not_known_here_is_refused_in_a_sentence(text, said):
    with pytest.raises(CannotRun, match=said):
        render(parse(text), {"System": "", "Tools": []})
