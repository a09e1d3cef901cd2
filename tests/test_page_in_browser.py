"""The page in a real browser: filters, opened cases, keyboard, narrow screens, and hostile words that do nothing."""

import json

import pytest

from evaluator.page import page
from tests.page_support import HOSTILE, result

LONE = HOSTILE.replace("\ud800", "\ufffd")


@pytest.fixture
def show(chromium, tmp_path):
    """show(results, **view) -> the browser with their page open; at the end nobody may have complained."""

    def shown(*results, **view):
        path = tmp_path / "page.html"
        path.write_text(page(results), encoding="utf-8")
        chromium.open(path, **view)
        return chromium

    yield shown
    assert chromium.complaints() == []
    assert chromium.requested() == [(tmp_path / "page.html").as_uri()]
    assert chromium.js("window.hacked") is None


def visible(page_):
    """The ids of the cases that are shown, in order."""
    return page_.js("[...document.querySelectorAll('.case:not([hidden]) .id')].map(one => one.textContent)")


def choose(page_, name, value):
    page_.js(
        f"{{ const field = document.forms.filter.elements[{json.dumps(name)}]; field.value = {json.dumps(value)};"
        " field.dispatchEvent(new Event('input', {bubbles: true})) }"
    )


def test_filters_narrow_the_list(show):
    shown = show(result("mine", "pflip", HOSTILE))
    assert visible(shown) == ["c1", "c2", "c3", "c0", "c4"], "what did not pass comes first"
    choose(shown, "outcome", "!pass")
    assert visible(shown) == ["c1", "c2", "c3"]
    choose(shown, "tag", "write")
    assert visible(shown) == ["c1"] and shown.js("document.getElementById('count').textContent") == "1 of 5 cases"
    shown.js("document.querySelector('button[type=reset]').click()")
    shown.js("document.forms.filter.elements.text.focus()")
    shown.type("please DO c4")
    assert visible(shown) == ["c4"]
    shown.js("document.querySelector('button[data-filter=tool][data-value=manager_write]').click()")
    assert visible(shown) == ["c1", "c0"]


def test_the_keyboard_opens_a_case_and_shows_all_of_it(show):
    shown = show(result("mine", "fp", LONE))
    shown.js("document.forms.filter.querySelector('button').focus()")
    shown.press("Tab")
    assert shown.js("document.activeElement.closest('.case').querySelector('.id').textContent") == "c0"
    shown.press("Enter")
    shown.wait_for(".case[open] .body")
    text = shown.js("document.querySelector('.case[open] .body').textContent")
    assert "Please do c0." in text and "wrong-tool" in text and "note created: Wanted.md" in text
    assert "</script><script>window.hacked = 1</script>" in text and "␀␇␛[31m" in text
    assert "fail 1.5 s · calls: 1, at least 2 needed" in text
    assert shown.js("document.querySelectorAll('.body img, .body script, .body svg').length") == 0
    assert shown.js("[...document.querySelectorAll('.added')].length") == 1


def test_two_runs_stand_side_by_side_and_flips_come_first(show):
    shown = show(result("SFT", "ppf"), result("KTO", "pfp"))
    assert visible(shown) == ["c1", "c2", "c0"]
    choose(shown, "outcome", "kind:lost")
    assert visible(shown) == ["c1"]
    shown.js("document.querySelector('.case:not([hidden]) summary').click()")
    shown.wait_for(".case[open] .body")
    boxes = shown.js("[...document.querySelectorAll('.case[open] .run')].map(one => one.getBoundingClientRect().top)")
    assert len(boxes) == 2 and boxes[0] == boxes[1]
    assert shown.js("[...document.querySelectorAll('.run h4')].map(one => one.textContent)") == ["A SFT", "B KTO"]


@pytest.mark.parametrize("width", [320, 390])
@pytest.mark.parametrize("runs", [1, 6])
def test_a_phone_never_scrolls_sideways(show, width, runs):
    many = [result(f"a rather long name of a model number {n}", "pfli", LONE) for n in range(runs)]
    shown = show(*many, width=width)
    shown.js("document.querySelectorAll('details').forEach(one => { one.open = true })")
    shown.wait_for(".case:last-child .body")
    shown.js("document.querySelectorAll('details').forEach(one => { one.open = true })")
    assert shown.js("document.querySelectorAll('.body').length") == 4
    assert shown.js("document.documentElement.scrollWidth") <= width


def test_dark_is_dark(show):
    colours = [
        show(result("mine", "pf"), dark=dark).js("getComputedStyle(document.body).backgroundColor")
        for dark in (False, True)
    ]
    assert colours == ["rgb(255, 255, 255)", "rgb(20, 23, 26)"]
