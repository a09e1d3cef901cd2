"""Small SVG charts that need nothing but the page they stand in: columns, bars, histograms, and lines over steps."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDTH = 360  # units; a phone shows about one a pixel


LEFT, RIGHT, TOP, BOTTOM = 48, WIDTH - 8, 8, 150  # of the drawing of `lines`


@dataclass(frozen=True)
class Line:
    """A line of a chart: its name, the class that colours it, and (x, y) points; a y of None leaves a gap."""

    name: str
    kind: str
    points: Sequence[tuple[float, float | None]]


def lines(drawn: Sequence[Line], label: str) -> str:
    """Lines over one x axis, with round numbers at both axes; a point without neighbours is a dot."""
    known = [point for line in drawn for point in line.points if point[1] is not None]
    xs, ys = [x for x, _ in known] or [0.0], [y for _, y in known] or [0.0]
    x_marks, y_marks = ticks(min(xs), max(xs)), ticks(min(ys), max(ys))
    x_low, x_high = min(xs), max(max(xs), min(xs) + 1e-12)
    y_low, y_high = min(y_marks[0], min(ys)), max(y_marks[-1], max(ys))

    def place(x: float, y: float) -> tuple[float, float]:
        across, up = (x - x_low) / (x_high - x_low), (y - y_low) / ((y_high - y_low) or 1)
        return LEFT + (RIGHT - LEFT) * across, BOTTOM - (BOTTOM - TOP) * up

    parts = []
    for mark in y_marks:
        y = place(x_low, mark)[1]
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(_text(LEFT - 4, y + 3, f"{mark:g}", "end"))
    parts += [_text(place(mark, y_low)[0], BOTTOM + 14, f"{mark:g}") for mark in x_marks if x_low <= mark <= x_high]
    for line in drawn:
        for piece in unbroken(line.points):
            at = [place(*point) for point in piece]
            if len(at) == 1:
                parts.append(f'<circle class="{line.kind} dot" cx="{at[0][0]:.1f}" cy="{at[0][1]:.1f}" r="2"/>')
            else:
                points = " ".join(f"{x:.1f},{y:.1f}" for x, y in at)
                parts.append(
                    f'<polyline class="{line.kind}" points="{points}"><title>{escape(line.name)}</title></polyline>'
                )
    return _svg(BOTTOM + 20, parts, label)


def unbroken(points: Sequence[tuple[float, float | None]]) -> list[list[tuple[float, float]]]:
    """The pieces of a line between its gaps."""
    pieces: list[list] = [[]]
    for x, y in points:
        if y is not None:
            pieces[-1].append((x, y))
        elif pieces[-1]:
            pieces.append([])
    return [piece for piece in pieces if piece]


def ticks(low: float, high: float, about: int = 4) -> list[float]:
    """Round numbers, some `about` of them, from at or below low to at or above high."""
    span = (high - low) or abs(high) or 1.0
    power = 10 ** math.floor(math.log10(span / about))
    step = next(power * factor for factor in (1, 2, 2.5, 5, 10) if span / (power * factor) <= about)
    first, last = math.floor(low / step), math.ceil(high / step)
    return [float(f"{place * step:.12g}") for place in range(first, max(last, first + 1) + 1)]


def columns(counts: Sequence[int], first: float, step: float, marks: dict[str, float], label: str) -> str:
    """A histogram whose bins start at `first` and are `step` wide; marks are upright lines with a name."""
    high, size = 120, (WIDTH - 20) / max(1, len(counts))
    top = max([*counts, 1])
    parts = [
        _rect("a", 10 + place * size, 15 + high - high * count / top, max(1, size - 1), high * count / top, str(count))
        for place, count in enumerate(counts)
    ]
    for name, value in marks.items():
        x = 10 + min(max(0.0, (value - first) / step), len(counts)) * size
        parts.append(f'<line class="mark" x1="{x:.1f}" x2="{x:.1f}" y1="12" y2="{15 + high}"/>' + _text(x, 10, name))
    last = first + step * len(counts)
    parts += [_text(10, high + 30, f"{first:g}", "start"), _text(WIDTH - 10, high + 30, f"{last:g}", "end")]
    return _svg(high + 36, parts, label)


def bars(items: Sequence[tuple[str, float]], floor: float | None, label: str) -> str:
    """One bar a line with its name and number; those below the floor stand out."""
    top = max([number for _, number in items], default=0) or 1
    parts = []
    for place, (name, number) in enumerate(items):
        y = place * 16
        low = floor is not None and number < floor
        parts.append(_rect("b" if low else "a", 205, y + 3, 115 * number / top, 11, f"{name}: {number}"))
        parts.append(_text(200, y + 12, name, "end") + _text(325, y + 12, str(number), "start"))
    if floor is not None and floor <= top:
        x = 205 + 115 * floor / top
        parts.append(f'<line class="mark" x1="{x:.1f}" x2="{x:.1f}" y1="0" y2="{len(items) * 16}"/>')
    return _svg(len(items) * 16 + 4, parts, label)


def overlaid(true: Sequence[float], false: Sequence[float], label: str, bins: int = 24) -> str:
    """How a feature spreads over true rows (filled) and false rows (outlined), each as shares of its own label."""
    ordered = sorted([*true, *false]) or [0]
    low, high = ordered[0], max(ordered[0] + 1, ordered[round(0.99 * (len(ordered) - 1))])
    shares = [_shares(values, low, high, bins) for values in (true, false)]
    top = max(max(part) for part in shares) or 1
    size = (WIDTH - 20) / bins
    parts = [
        _rect("a", 10 + place * size, 95 - 85 * share / top, size, 85 * share / top, f"true: {share:.1%}")
        for place, share in enumerate(shares[0])
    ]
    steps = [
        f"{10 + (place + right) * size:.1f},{95 - 85 * share / top:.1f}"
        for place, share in enumerate(shares[1])
        for right in (0, 1)
    ]
    parts.append(f'<polyline class="line" points="{" ".join(steps)}"/>')
    parts += [_text(10, 108, f"{low:g}", "start"), _text(WIDTH - 10, 108, f"{high:g}", "end")]
    return _svg(112, parts, label)


def interval(low: float, value: float, high: float, label: str) -> str:
    """A share from 0 to 1 as a dot on its line, with its interval as a bar."""
    parts = [
        '<line class="mark" x1="0" x2="100" y1="6" y2="6"/>',
        f'<rect class="a" x="{100 * low:.1f}" y="4" width="{max(1, 100 * (high - low)):.1f}" height="4"/>',
        f'<circle class="dot" cx="{100 * value:.1f}" cy="6" r="4"/>',
    ]
    return f'<svg class="interval" viewBox="-5 0 110 12" role="img" aria-label="{escape(label)}">{"".join(parts)}</svg>'


def scatter(points: Sequence[tuple[str, float, float, float, float]], unit: str, label: str) -> str:
    """Named points (name, x, share, its low, its high): x from 0 in `unit`, shares from 0 to 1 with their intervals."""
    left, high, top = 34, 150, max([x for _, x, *_ in points] + [1e-9])
    parts = []
    for share in (0, 0.5, 1):
        y = 10 + high * (1 - share)
        line = f'<line class="mark" x1="{left}" x2="{WIDTH - 10}" y1="{y:.1f}" y2="{y:.1f}"/>'
        parts.append(line + _text(left - 4, y + 3, f"{share:.0%}", "end"))
    for place, (name, x, share, low, up) in enumerate(sorted(points, key=lambda point: point[1])):
        across = left + (WIDTH - 60 - left) * x / top
        ends = f'y1="{10 + high * (1 - up):.1f}" y2="{10 + high * (1 - low):.1f}"'
        parts.append(f'<line class="line" x1="{across:.1f}" x2="{across:.1f}" {ends}/>')
        y = 10 + high * (1 - share)
        title = f"<title>{escape(f'{name}: {x:g} {unit}, {share:.0%}')}</title>"
        parts.append(f'<circle class="a" cx="{across:.1f}" cy="{y:.1f}" r="4">{title}</circle>')
        # Neighbours' names stand below and above their intervals in turn.
        parts.append(_text(across, 10 + high * (1 - up) - 5 if place % 2 else 10 + high * (1 - low) + 12, name))
    parts += [_text(left, high + 24, f"0 {unit}", "start"), _text(WIDTH - 10, high + 24, f"{top:.0f} {unit}", "end")]
    return _svg(high + 30, parts, label)


def _shares(values: Sequence[float], low: float, high: float, bins: int) -> list[float]:
    """The share of the values in each bin; what lies outside counts for the nearest one."""
    counts = [0] * bins
    for value in values:
        counts[min(bins - 1, max(0, int((value - low) / (high - low) * bins)))] += 1
    return [count / max(1, len(values)) for count in counts]


def _rect(kind: str, x: float, y: float, width: float, height: float, title: str) -> str:
    place = f'x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}"'
    return f'<rect class="{kind}" {place}><title>{escape(title)}</title></rect>'


def _text(x: float, y: float, text: str, anchor: str = "middle") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _svg(height: float, parts: list[str], label: str) -> str:
    body = "".join(parts)
    return f'<svg viewBox="0 0 {WIDTH} {height:g}" role="img" aria-label="{escape(label)}">{body}</svg>'
