"""Our reading of Go templates against what Go itself has made of the same templates and data."""

import json

import pytest

from lib.go_template import parse, quoted, render
from tests.go_support import FOLDER, SYNTAX, jobs

EXPECTED = json.loads((FOLDER / "expected.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", SYNTAX)
def test_syntax_means_what_it_means_in_go(name):
    job = jobs()[name]
    assert render(parse(job["template"]), job["data"]) == EXPECTED[name]


def test_every_shipped_template_is_rendered_as_by_go():
    found = jobs()
    assert set(found) == set(EXPECTED) and len(found) > 60
    for name, job in found.items():
        assert render(parse(job["template"]), job["data"]) == EXPECTED[name], name


def test_quoting_is_json_s_but_for_what_has_no_glyph():
    text = 'Büro "x" \\ 日本 🦙 e\u0301 \n\t'
    assert quoted(text) == json.dumps(text, ensure_ascii=False)
    assert quoted("\x00\x7f\xa0\u200d") == '"\\x00\\x7f\\u00a0\\u200d"'
