"""One HTML page of one or several trainings: curves over the steps, figures and settings; it needs no network."""

from __future__ import annotations

from html import escape
from pathlib import Path

from lib import charts
from lib.page import STYLE, document
from lib.run_figures import Run, differing, figures, settings_of

SCRIPT = Path(__file__).with_name("training_page.js")
MOST = 600  # points of a line; a longer log is drawn by the means of neighbouring rows
COLOURS = 6
# Title -> the columns of the log in that chart. A chart that no run has a number for is left out.
CHARTS = {
    "Loss": ("loss",),
    "Learning rate": ("learning_rate",),
    "Gradient norm": ("grad_norm",),
    "KL, nats": ("kl",),
    "Rewards of chosen and, dashed, rejected rows": ("rewards/chosen", "rewards/rejected"),
    "Margin of the rewards": ("rewards/margins",),
    "Log-probabilities of chosen and, dashed, rejected rows, nats": ("logps/chosen", "logps/rejected"),
    "Share of tokens that were the top choice": ("mean_token_accuracy",),
    "Tokens a second": ("tokens_per_s",),
    "Peak memory, GB": ("memory_gb",),
}
MORE_STYLE = """
polyline { fill: none; stroke-width: 1.6; vector-effect: non-scaling-stroke; } .grid { stroke: var(--line); }
.second { stroke-dasharray: 4 3; } .dot { stroke: none; }
.c0 { stroke: var(--a); color: var(--a); } .c1 { stroke: var(--b); color: var(--b); }
.c2 { stroke: var(--good); color: var(--good); } .c3 { stroke: #8a63c0; color: #8a63c0; }
.c4 { stroke: #b07d12; color: #b07d12; } .c5 { stroke: #2f9c9c; color: #2f9c9c; }
circle.c0 { fill: var(--a); } circle.c1 { fill: var(--b); } circle.c2 { fill: var(--good); }
figure.chart { min-width: 0; } .readout { font-size: .85rem; min-height: 2.9em; margin: .1rem 0 0;
  font-variant-numeric: tabular-nums; } .readout span { margin-right: .8em; white-space: nowrap; }
.key { font-size: .9rem; } .key span { margin-right: 1rem; } .key span::before { content: "\\2014\\00a0"; }
.at { stroke: var(--soft); stroke-dasharray: 2 2; } td { font-variant-numeric: tabular-nums; min-width: 6rem; }
thead th { border-top: 0; } tr.differs td { font-weight: 600; } .warning { color: var(--warn); font-weight: 600; }
"""


def page(shown_runs: list[Run]) -> str:
    """The page as text; the colours name the runs, a dashed line the second of two columns."""
    names = [run.name for run in shown_runs]
    title = f"Training {names[0]}" if len(names) == 1 else f"{len(names)} trainings side by side"
    drawn = {title: lines for title, columns in CHARTS.items() if (lines := chart_lines(shown_runs, columns))}
    data = [
        {"lines": [{"name": line.name, "kind": line.kind, "points": line.points} for line in lines]}
        for lines in drawn.values()
    ]
    body = [f"<h1>{escape(title)}</h1>", *faults(shown_runs), key(names), '<div class="charts">']
    body += [
        f'<figure class="chart" tabindex="0"><h3>{escape(title)}</h3>{charts.lines(lines, f"{title} by step")}'
        '<p class="readout" role="status"></p></figure>'
        for title, lines in drawn.items()
    ]
    body += ["</div>", table("Figures", names, [figures(run) for run in shown_runs])]
    body.append(table("Settings", names, [settings_of(run) for run in shown_runs], mark=len(names) > 1))
    return document(title, "".join(body), STYLE + MORE_STYLE, SCRIPT.read_text(encoding="utf-8"), data)


def chart_lines(shown_runs: list[Run], columns: tuple[str, ...]) -> list[charts.Line]:
    """One line for each run and column that has a number at all."""
    found = []
    for place, run in enumerate(shown_runs):
        for second, column in enumerate(columns):
            points = thinned(run.series(column))
            if any(value is not None for _, value in points):
                kind = f"c{place % COLOURS}{' second' if second else ''}"
                short = column.rpartition("/")[2]
                found.append(charts.Line(short if len(shown_runs) == 1 else f"{run.name} {short}", kind, points))
    return found


def thinned(points: list[tuple[int, float | None]]) -> list[tuple[int, float | None]]:
    """At most MOST points: each the mean of as many neighbours, at the step of the last of them."""
    share = -(-len(points) // MOST)
    if share <= 1:
        return points
    groups = [points[start : start + share] for start in range(0, len(points), share)]
    means = []
    for group in groups:
        known = [value for _, value in group if value is not None]
        means.append((group[-1][0], sum(known) / len(known) if known else None))
    return means


def faults(shown_runs: list[Run]) -> list[str]:
    """Sentences on what the page cannot show."""
    said = [f"{run.name} has no readable log." for run in shown_runs if not run.rows]
    said += [f"{run.name} is not finished." for run in shown_runs if run.rows and not run.done]
    for run in shown_runs:
        holes = sum(value is None for _, value in run.series("loss"))
        said += [f"{run.name}: {holes} rows without a finite loss."] if holes else []
    return [f'<p class="warning">{escape(text)}</p>' for text in said]


def key(names: list[str]) -> str:
    """Which colour is which run; nothing for a single one."""
    if len(names) == 1:
        return ""
    spans = [f'<span class="c{place % COLOURS}">{escape(name)}</span>' for place, name in enumerate(names)]
    return f'<p class="key">{"".join(spans)}</p>'


def table(title: str, names: list[str], columns: list[dict[str, str]], mark: bool = False) -> str:
    """A table with a column a run; with mark the rows that differ stand out and come first."""
    apart = differing(columns) if mark else []
    rows = dict.fromkeys([*apart, *(name for column in columns for name in column)])
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in ["", *names])
    lines = []
    for name in rows:
        cells = "".join(f"<td>{escape(column.get(name, '–'))}</td>" for column in columns)
        lines.append(f'<tr{" class=differs" if name in apart else ""}><th scope="row">{escape(name)}</th>{cells}</tr>')
    inner = f'<div class="wide" role="region" aria-label="{title}" tabindex="0"><table><thead><tr>{head}</tr></thead>'
    return f"<section><h2>{title}</h2>{inner}<tbody>{''.join(lines)}</tbody></table></div></section>"
