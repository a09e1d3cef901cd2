"""The report on the gates: one Markdown text, and one HTML page that holds all it shows and needs no network."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from lib import charts, diversity, page
from lib.gates import Dataset, Gate, Verdict, shown
from lib.hygiene import covered
from lib.leak import Shapes, feature_aucs, one_rule, request_of
from lib.toolset import Toolset

HEADINGS = ("measure", "measured", "target", "upstream", "")
FEATURE_HEADINGS = ("feature", "AUC", "best rule")
MARKS = {True: "ok", False: "FAIL", None: ""}
CHARTED = ("answer characters", "sessionMemory characters")  # features charted whether they tell or not
STYLE = (
    page.STYLE
    + """
td:nth-child(2), td:nth-child(3) { white-space: nowrap; font-variant-numeric: tabular-nums; }
td.ok { color: var(--good); } td.fail { color: var(--b); font-weight: 600; }
details ul { margin: .2rem 0; padding-left: 1.1rem; color: var(--soft); }
.a { fill: var(--a); } .b { fill: var(--b); } .line { fill: none; stroke: var(--b); stroke-width: 2; }
"""
)


@dataclass(frozen=True)
class Sheet:
    """One dataset as the report shows it: its verdicts, and (title, SVG) of its charts."""

    name: str
    path: str
    rows: int
    verdicts: tuple[Verdict, ...]
    charts: tuple[tuple[str, str], ...] = ()
    features: tuple[tuple[str, float, float], ...] = ()  # (shape feature, its AUC, accuracy of its best rule)

    @property
    def failed(self) -> list[Verdict]:
        return [verdict for verdict in self.verdicts if verdict.passes is False]

    @property
    def summary(self) -> str:
        """File, rows and how many gates fail."""
        judged = sum(verdict.passes is not None for verdict in self.verdicts)
        return f"{self.path}: {self.rows} rows, {len(self.failed)} of {judged} gates fail"


def cells(verdict: Verdict) -> tuple[str, ...]:
    """One line of the table, as HEADINGS name it."""
    gate = verdict.gate
    target = f"{gate.target} (moved)" if gate.moved else gate.target
    return gate.what, shown(verdict.figure.value), target, gate.upstream, MARKS[verdict.passes]


def sft_charts(data: Dataset, toolset: Toolset, gates: Sequence[Gate]) -> tuple[tuple[str, str], ...]:
    """Lengths of requests and positives of each tool."""
    examples = [example for example in data.examples if example.label is not False]
    lengths = [len(request_of(example).split()) for example in examples]
    bins = Counter(min(length, 59) // 2 for length in lengths)
    marks = {f"p{share}": diversity.quantile(lengths, share / 100) for share in (5, 50, 95)}
    words = charts.columns([bins[place] for place in range(30)], 0, 2, marks, "requests by number of words")
    coverage = covered(examples, toolset)
    counts = sorted(((name, coverage.positives(name)) for name in toolset.tools), key=lambda item: item[1])
    floor = next((gate.low for gate in gates if gate.name == "sft.fewest_positives"), None)
    return ("Requests by number of words", words), ("Positives per tool", charts.bars(counts, floor, "by tool"))


def kto_charts(shapes: Shapes, most: int = 8) -> tuple[tuple[str, str], ...]:
    """The features that tell most about the label, spread by label."""
    aucs = feature_aucs(shapes)
    names = dict.fromkeys([*list(aucs)[:most], *(name for name in CHARTED if name in aucs)])
    found = []
    for name in names:
        values = shapes.column(name)
        drawn = charts.overlaid(values[shapes.labels].tolist(), values[~shapes.labels].tolist(), f"{name} by label")
        found.append((f"{name}, AUC {aucs[name]:.3f}", drawn))
    return tuple(found)


def feature_table(shapes: Shapes) -> tuple[tuple[str, float, float], ...]:
    """(feature, AUC, accuracy of the best rule on it), the most telling first."""
    return tuple(
        (name, value, one_rule(shapes.column(name), shapes.labels)[0]) for name, value in feature_aucs(shapes).items()
    )


def markdown(sheets: Sequence[Sheet]) -> str:
    """The tables, and under each what makes its gates fail."""
    lines = ["# Quality gates", ""]
    for sheet in sheets:
        lines += [f"## {sheet.name}", "", sheet.summary, "", row(HEADINGS), row(["---"] * len(HEADINGS))]
        lines += [row(cells(verdict)) for verdict in sheet.verdicts]
        lines += ["", *(["### What makes them fail", ""] if sheet.failed else [])]
        for verdict in sheet.failed:
            lines.append(f"- {verdict.gate.what}: {shown(verdict.figure.value)}, target {verdict.gate.target}")
            lines += [f"  - {flat(cause)}" for cause in verdict.figure.causes[:12]]
        if sheet.features:
            lines += [
                "",
                "### What each feature tells about the label",
                "",
                row(FEATURE_HEADINGS),
                "| --- | --- | --- |",
            ]
            lines += [row((name, shown(auc), shown(rule))) for name, auc, rule in sheet.features]
        lines.append("")
    return "\n".join(lines)


def row(values: Sequence[str]) -> str:
    """A line of a Markdown table."""
    return f"| {' | '.join(flat(value).replace('|', chr(92) + '|') for value in values)} |"


def flat(text: str) -> str:
    """A text on one line, without what Markdown would take for a tag."""
    return " ".join(text.split()).replace("<", "&lt;").replace("&lt;=", "<=")


def html(sheets: Sequence[Sheet]) -> str:
    """The page: tables that open to the causes, and charts."""
    body = ["<h1>Quality gates</h1>"]
    for sheet in sheets:
        body += [f"<h2>{escape(sheet.name)}</h2><p>{escape(sheet.summary)}</p>", '<div class="wide"><table><tr>']
        body += [f"<th>{escape(heading)}</th>" for heading in HEADINGS] + ["</tr>"]
        body += [table_row(verdict) for verdict in sheet.verdicts]
        body.append("</table></div>")
        if sheet.features:
            body.append(html_features(sheet.features))
        body.append('<div class="charts">')
        body += [f"<figure><h3>{escape(title)}</h3>{svg}</figure>" for title, svg in sheet.charts]
        body.append("</div>")
        if any("AUC" in title for title, _ in sheet.charts):
            body.append("<p>Filled: true rows. Line: false rows. Each as shares of its own label.</p>")
    return page.document("Quality gates", "".join(body), STYLE)


def html_features(features: Sequence[tuple[str, float, float]]) -> str:
    """The table of features, closed until it is asked for."""
    lines = "".join(
        f"<tr><td>{escape(name)}</td><td>{shown(auc)}</td><td>{shown(rule)}</td></tr>" for name, auc, rule in features
    )
    head = "".join(f"<th>{heading}</th>" for heading in FEATURE_HEADINGS)
    title = "<summary>What each feature tells about the label</summary>"
    return f'<details>{title}<div class="wide"><table><tr>{head}</tr>{lines}</table></div></details>'


def table_row(verdict: Verdict) -> str:
    """A row of the table; its first cell opens to the causes where there are any."""
    what, *rest = map(escape, cells(verdict))
    causes = "".join(f"<li>{escape(cause)}</li>" for cause in verdict.figure.causes[:40])
    first = f"<details><summary>{what}</summary><ul>{causes}</ul></details>" if causes else what
    kind = {True: "ok", False: "fail", None: ""}[verdict.passes]
    middle = "".join(f"<td>{cell}</td>" for cell in rest[:-1])
    return f'<tr><td>{first}</td>{middle}<td class="{kind}">{rest[-1]}</td></tr>'
