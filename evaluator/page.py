"""One HTML page of one or several runs on the same prompts: figures, heat maps, every case; it needs no network."""

from collections.abc import Sequence
from html import escape
from pathlib import Path

from evaluator.comparison import differing, too_unclean
from evaluator.page_data import SHORT, page_data
from evaluator.reports import REPEATED, outcome_line, speed_rows, summary_rows
from evaluator.rungs import climbed
from evaluator.shown import shown
from evaluator.statistics import OUTCOMES
from lib.charts import interval
from lib.page import document

HERE = Path(__file__).parent
OUTCOME_WORDS = dict(zip(OUTCOMES, ("passed", "failed", "lost by the server", "no answer"), strict=True))
KIND_WORDS = {
    "lost": "passed in A, fails in B",
    "gained": "failed in A, passes in B",
    "changed": "not the same in all runs",
}
NONE = "–"
LONG = 20  # rows of a table that is closed until it is asked for
GROUPS = {"set": "by_set", "tag": "by_tag", "tool": "by_tool"}


def page(results: Sequence[dict], alpha: float = 0.05) -> str:
    """The page as text. Several results stand side by side, each tested against the one before; what changed is first.

    Texts of models and servers are shortened, made visible and escaped, and the page's own policy lets nothing run or
    load but the style and the script that it holds.
    """
    style, script = ((HERE / name).read_text(encoding="utf-8") for name in ("page.css", "page.js"))
    data = page_data(results)
    title = title_of(data["runs"])
    body = [
        f'<header><a class="skip" href="#cases">To the cases</a><h1>{escape(title)}</h1>',
        *opening(results, alpha),
        f"</header><main>{summary_table(results, data['runs'])}",
        *(group_table(name, results, data["runs"]) for name in GROUPS),
        codes_table(results, data["runs"]),
        cases_section(data),
        settings_table(results, data["runs"]),
        "</main>",
    ]
    return document(title, "".join(body), style, script, data)


def safe(value: object) -> str:
    """A value as escaped text, shortened."""
    return escape(value_text(value))


def value_text(value: object) -> str:
    return shown(", ".join(map(str, value)) if isinstance(value, list) else str(value), SHORT)


def title_of(labels: Sequence[str]) -> str:
    if len(labels) == 1:
        return f"Evaluation of {labels[0]}"
    return f"{labels[1]} against {labels[0]}" if len(labels) == 2 else f"{len(labels)} runs side by side"


def opening(results: Sequence[dict], alpha: float) -> list[str]:
    """What came out in a sentence for each step, and what makes it hard to trust."""
    if len(results) == 1:
        said, faults = [outcome_line(results[0]["summary"])], [results[0].get("stopped")]
        faults = [f"Not complete: {fault}" for fault in faults if fault]
        said += [f"Stopped early: {results[0]['settled']}."] if results[0].get("settled") else []
    else:
        steps = [found for found in climbed(results, alpha) if found["row"][-1]]
        said = [found["step"]["sentence"] if found["step"] else found["row"][-1] for found in steps]
        faults = [f"Warning: {warning}" for warning in differing(list(results))]
        unclean = [(found["label"], too_unclean(found["step"])) for found in steps if found["step"]]
        faults += [f"Warning: {label}: {why}" for label, why in unclean if why]
    return [f"<p>{safe(text)}</p>" for text in said] + [f'<p class="warning">{safe(text)}</p>' for text in faults]


def heads(labels: Sequence[str], first: str) -> str:
    """The head of a table with a column a run; several runs have letters."""
    names = [f"{letter(place)} {label}" if len(labels) > 1 else label for place, label in enumerate(labels)]
    cells = "".join(f'<th scope="col">{escape(name)}</th>' for name in names)
    return f'<thead><tr><th scope="col">{escape(first)}</th>{cells}</tr></thead>'


def letter(place: int) -> str:
    return chr(ord("A") + place) if place < 26 else str(place + 1)


def line(name: str, cells: Sequence[str], kind: str = "") -> str:
    """A row of a table, of ready HTML."""
    mark = f' class="{kind}"' if kind else ""
    return f'<tr{mark}><th scope="row">{name}</th>{"".join(cells)}</tr>'


def table(title: str, head: str, rows: Sequence[str], note: str = "") -> str:
    """A section with a table that scrolls by itself where it is too wide, and is closed at first where it is long."""
    name = escape(title)
    note = f"<p>{escape(note)}</p>" if note else ""
    inner = (
        f'{note}<div class="wide" role="region" aria-label="{name}" tabindex="0">'
        f"<table>{head}<tbody>{''.join(rows)}</tbody></table></div>"
    )
    if len(rows) > LONG:
        return f"<section><details><summary><h2>{name}</h2> {len(rows)} rows</summary>{inner}</details></section>"
    return f"<section><h2>{name}</h2>{inner}</section>"


def summary_table(results: Sequence[dict], labels: Sequence[str]) -> str:
    """The figures of each run, the rates with their intervals."""
    columns = [figures(result) for result in results]
    names = list(dict.fromkeys(name for column in columns for name in column))
    rows = [line(escape(name), [f"<td>{column.get(name, NONE)}</td>" for column in columns]) for name in names]
    note = "Rates count the cases that were answered; in brackets the rate and its 95 % Wilson interval."
    if any("repeats" in result["summary"] for result in results):
        note = f"{note} {REPEATED}"
    return table("Summary", heads(labels, "measure"), rows, note)


def figures(result: dict) -> dict[str, str]:
    """Measure -> HTML of one run's value."""
    summary = result["summary"]
    cells = {name: escape(text) for name, text in [*summary_rows(summary), *speed_rows(result)]}
    if summary["pass"]["of"]:
        cells["passes"] = chart(summary["pass"]) + cells["passes"]
    others = {word: str(summary["outcomes"][name]) for name, word in list(OUTCOME_WORDS.items())[2:]}
    return {"format": safe(result["settings"].get("format", "")), **cells, **others}


def chart(rate: dict) -> str:
    """A rate and its interval as a small picture."""
    words = f"{rate['rate']:.0%}, {rate['low']:.0%} to {rate['high']:.0%}"
    return interval(rate["low"], rate["rate"], rate["high"], words)


def group_table(name: str, results: Sequence[dict], labels: Sequence[str]) -> str:
    """Passes by set, tag or tool and run as a heat map, the worst of the last run first; a name filters the cases."""
    columns = [result["summary"].get(GROUPS[name], {}) for result in results]
    rows = {row for column in columns for row in column}
    if not rows or (name == "set" and len(rows) == 1):
        return ""

    def badness(row: str) -> tuple[float, str]:
        last = columns[-1].get(row)
        return (last["rate"] if last and last["of"] else 2.0), row

    lines = []
    for row in sorted(rows, key=badness):
        word = safe(row).replace("_", "_<wbr>")  # where a narrow screen may break a tool's name
        if len(rows) > 1:
            word = f'<button type="button" data-filter="{name}" data-value="{safe(row)}">{word}</button>'
        lines.append(line(word, [heat(column.get(row)) for column in columns]))
    note = "Passes and the 95 % interval. A name shows its cases."
    return table(f"By {name}", heads(labels, name), lines, note)


def heat(rate: dict | None) -> str:
    """A cell of the heat map: its shade is the rate in tenths."""
    if not rate or not rate["of"]:
        return f"<td>{NONE}</td>"
    text = f"{rate['passed']}/{rate['of']} <small>{rate['low']:.0%}–{rate['high']:.0%}</small>"
    return f'<td class="heat h{round(10 * rate["rate"])}">{text}</td>'


def codes_table(results: Sequence[dict], labels: Sequence[str]) -> str:
    """Failures by code: in how many attempts each was found."""
    columns = [result["summary"].get("codes", {}) for result in results]
    names = dict.fromkeys(name for column in columns for name in column)
    rows = [
        line(f"<code>{safe(name)}</code>", [f"<td>{column.get(name, 0)}</td>" for column in columns]) for name in names
    ]
    return table("Failures by code", heads(labels, "code"), rows, "Attempts in which it was found.") if rows else ""


def settings_table(results: Sequence[dict], labels: Sequence[str]) -> str:
    """Settings and server of each run; what differs is marked."""
    columns = [
        {"finished": result.get("finished", NONE)}
        | result["settings"]
        | {f"server {key}": value for key, value in (result.get("fingerprint") or {}).items()}
        for result in results
    ]
    rows = []
    for name in dict.fromkeys(name for column in columns for name in column):
        values = [value_text(column[name]) if name in column else NONE for column in columns]
        kind = "differs" if len(set(values)) > 1 else ""
        rows.append(line(safe(name), [f"<td>{escape(value)}</td>" for value in values], kind))
    note = "Bold: not the same in all runs." if len(results) > 1 else ""
    return table("Settings", heads(labels, "setting"), rows, note)


def cases_section(data: dict) -> str:
    """Filters and the place of the list, which the script fills."""
    cases = data["cases"]
    if not cases:
        return ""
    outcomes = {attempt["outcome"] for case in cases for run in case["runs"] for attempt in run or []}
    kinds = {case["kind"] for case in cases}
    choices = {"": "all", "!pass": "not passed"}
    choices |= {f"kind:{kind}": words for kind, words in KIND_WORDS.items() if kind in kinds}
    choices |= {name: words for name, words in OUTCOME_WORDS.items() if name in outcomes}
    fields = [select("outcome", choices)]
    for name, key in (("set", "set"), ("tag", "tags"), ("tool", "tools")):
        values = {value for case in cases for value in ([case[key]] if key == "set" else case[key])}
        if len(values) > 1:
            fields.append(select(name, {"": "all"} | {value: value for value in sorted(values)}))
    return (
        '<section id="cases"><h2>Cases</h2><form id="filter" role="search">'
        f'{"".join(fields)}<label>text <input type="search" name="text" autocomplete="off"></label>'
        '<button type="reset">Clear</button></form><p id="count" role="status"></p><div id="list"></div>'
        "<noscript><p>The list of cases needs JavaScript. The cases that did not pass stand in report.md too.</p>"
        "</noscript></section>"
    )


def select(name: str, choices: dict[str, str]) -> str:
    options = "".join(f'<option value="{escape(value)}">{escape(words)}</option>' for value, words in choices.items())
    return f'<label>{name} <select name="{name}">{options}</select></label>'
