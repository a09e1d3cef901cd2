"""lib/charts.py: what is drawn lies inside the picture and has the right proportions."""

import xml.etree.ElementTree as ET

import pytest

from lib import charts


def drawn(svg):
    """(width, height, rectangles as (class, x, y, width, height), texts) of a chart."""
    root = ET.fromstring(svg)
    _, _, width, height = map(float, root.attrib["viewBox"].split())
    rectangles = [
        (rect.attrib["class"], *(float(rect.attrib[name]) for name in ("x", "y", "width", "height")))
        for rect in root.iter("rect")
    ]
    return width, height, rectangles, [text.text for text in root.iter("text")]


SAMPLES = {
    "columns": charts.columns([1, 4, 2, 0], 0, 5, {"p50": 7}, "words & more"),
    "bars": charts.bars([("a_tool", 3), ("b <tool>", 12)], 5, "tools"),
    "overlaid": charts.overlaid([1, 2, 2, 3, 400], [5, 6, 7], "lengths"),
    "no rows": charts.overlaid([], [], "nothing"),
    "no counts": charts.columns([0, 0], 0, 1, {}, "nothing"),
}


@pytest.mark.parametrize("name", SAMPLES)
def test_everything_lies_inside(name):
    width, height, rectangles, _ = drawn(SAMPLES[name])
    for _, x, y, wide, high in rectangles:
        assert x >= 0 and y >= 0 and wide >= 0 and high >= 0
        assert x + wide <= width + 0.1 and y + high <= height + 0.1


def test_columns_are_as_high_as_their_counts():
    _, _, rectangles, texts = drawn(SAMPLES["columns"])
    assert [high for *_, high in rectangles] == [30, 120, 60, 0]
    assert {"p50", "0", "20"} <= set(texts)


def test_bars_below_the_floor_stand_out():
    _, _, rectangles, texts = drawn(SAMPLES["bars"])
    assert [kind for kind, *_ in rectangles] == ["b", "a"]
    assert rectangles[0][3] * 4 == pytest.approx(rectangles[1][3], abs=0.5)
    assert texts == ["a_tool", "3", "b <tool>", "12"]


def test_a_stray_value_does_not_flatten_the_rest():
    shares = charts._shares([0, 1, 2, 1000], 0, 4, 4)
    assert shares == [0.25, 0.25, 0.25, 0.25]


def test_an_interval_is_drawn_to_scale():
    _, _, rectangles, _ = drawn(charts.interval(0.25, 0.5, 0.75, "half"))
    assert rectangles == [("a", 25, 4, 50, 4)]
