"""What a run found, for people: Markdown file, console tables, and one table of several runs."""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from evaluator.results import read_result
from evaluator.shown import shown, visible

if TYPE_CHECKING:
    from rich.table import Table

MAX_FAILURES_SHOWN = 200
CLIPPED = 300  # characters of a text in a report
REPEATED = (
    "Each case was tried several times. Rates count attempts, and their intervals take the attempts at one case "
    "together. pass@k: one of k attempts passes; pass^k: all of them do."
)
LADDER_HEAD = ("model", "format", "passes", "right tool", "valid call", "lost", "no answer", "seconds")
RATES = {"pass": "passes", "right_tool": "right tool", "valid_call": "valid call", "delivered": "delivered"}


def shown_rate(rate: dict) -> str:
    """ "41/47 (87 %, 74–94)", the interval in percent."""
    if not rate["of"]:
        return "–"
    return f"{rate['passed']}/{rate['of']} ({rate['rate']:.0%}, {rate['low']:.0%}–{rate['high']:.0%})".replace(
        "%", " %"
    )


def shown_estimate(found: dict) -> str:
    """ "81 % (69 %–90 %) of 47 cases"."""
    text = f"{found['value']:.0%} ({found['low']:.0%}–{found['high']:.0%}) of {found['cases']} cases"
    return text.replace("%", " %")


def outcome_line(summary: dict) -> str:
    """One sentence with all four outcomes and both views."""
    outcomes = summary["outcomes"]
    model, delivered = summary["model"], summary["delivered"]
    return (
        f"{outcomes['pass']} passed, {outcomes['model_fail']} failed by the model, "
        f"{outcomes['server_lost']} lost by the server, {outcomes['infra']} without an answer. "
        f"Model {model['passed']}/{model['of']}, delivered {delivered['passed']}/{delivered['of']}."
    )


def summary_rows(summary: dict) -> list[tuple[str, str]]:
    """(measure, value) of the whole run."""
    rows = [(label, shown_rate(summary[key])) for key, label in RATES.items()]
    for name, values in summary.get("repeats", {}).items():
        rows += [(name.replace("k", k), shown_estimate(found)) for k, found in values.items() if k != "1"]
    if summary["seconds_p50"] is not None:
        rows.append(("seconds per case", f"{summary['seconds_p50']:.1f} median, {summary['seconds_p95']:.1f} at 95 %"))
    if calls := summary.get("calls"):
        rows.append(("calls of what passed", f"{calls['used']}, at least {calls['minimum']} are needed"))
    rows.append(("tokens", f"{summary['prompt_tokens']:,} read, {summary['reply_tokens']:,} written"))
    return rows


def speed_rows(result: dict) -> list[tuple[str, str]]:
    """(measure, value) of how fast the server answered, and what the probe found; nothing of older results."""
    speed, found = result.get("speed") or {}, result.get("probe")
    rows = []
    if speed.get("seconds_p50") is not None:
        rows.append(("seconds per request", f"{speed['seconds_p50']:.2f} median, {speed['seconds_p95']:.2f} at 95 %"))
    if speed.get("tokens_per_second"):
        at_once = f", {speed['parallel']} requests at once" if speed["parallel"] > 1 else ""
        rows.append(("tokens written a second", f"{speed['tokens_per_second']:,}{at_once}"))
    return rows + ([("probe", found["says"])] if found else [])


def group_rows(summary: dict) -> dict[str, list[tuple[str, str]]]:
    """Passes by set, tag and tool, and failures by code."""
    groups = {
        "set": [(name, shown_rate(rate)) for name, rate in summary["by_set"].items()],
        "tag": [(name, shown_rate(rate)) for name, rate in sorted(summary["by_tag"].items())],
        "tool": [(name, shown_rate(rate)) for name, rate in sorted(summary["by_tool"].items())],
    }
    if len(groups["set"]) < 2:
        del groups["set"]
    return groups | {"failure code": [(code, str(count)) for code, count in summary["codes"].items()]}


def markdown_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    def line(cells: Sequence[str]) -> str:
        return "| " + " | ".join(str(cell).replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"

    return "\n".join([line(head), line(["---"] * len(head)), *map(line, rows)])


def markdown_report(result: dict) -> str:
    """The whole report: settings, figures, tables and every failed case with its reasons."""
    summary = result["summary"]
    parts = [f"# Evaluation of {result['label']}", outcome_line(summary)]
    if result["stopped"]:
        parts.append(f"**Not complete: {result['stopped']}**")
    if result.get("settled"):
        parts.append(f"**Stopped early: {result['settled']}**")
    parts.append(markdown_table(["measure", "value"], [*summary_rows(summary), *speed_rows(result)]))
    parts.append("Rates count the cases that were answered; intervals are Wilson intervals at 95 %.")
    if "repeats" in summary:
        parts.append(REPEATED)
    for name, rows in group_rows(summary).items():
        if rows:
            parts += [f"## By {name}", markdown_table([name, "cases" if name == "failure code" else "passes"], rows)]
    failed = [record for record in result["records"] if record["outcome"] != "pass"]
    if failed:
        parts.append("## Cases that did not pass")
        parts += [_failure(record) for record in failed[:MAX_FAILURES_SHOWN]]
        if len(failed) > MAX_FAILURES_SHOWN:
            parts.append(f"… and {len(failed) - MAX_FAILURES_SHOWN} more, in results.json.")
    facts = {**result["settings"], **{f"server {key}": value for key, value in result["fingerprint"].items()}}
    parts += [
        "## Settings",
        markdown_table(["setting", "value"], [(key, _cell(value)) for key, value in facts.items()]),
    ]
    return visible("\n\n".join(parts)) + "\n"


def _cell(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _failure(record: dict) -> str:
    again = f", attempt {record['attempt']}" if record.get("attempt", 1) > 1 else ""
    lines = [f"### {record['id']}{again}: {record['outcome']}", f"> {record['question']}".replace("\n", "\n> ")]
    lines += [f"- `{finding['code']}` {_plain(finding['message'])}" for finding in record["findings"]]
    for call in record["calls"]:
        arguments = {name: value for name, value in (call["arguments"] or {}).items() if name != "context"}
        lines.append(f"- called {_code(call['name'])} with {_code(json.dumps(arguments, ensure_ascii=False))}")
    if "minimum" in record:
        lines.append(f"- calls: {record['used']}, at least {record['minimum']} needed")
    if not record["calls"] and record["reply"].strip():
        lines.append(f"- said: {_plain(record['reply'])}")
    if record.get("changes"):
        lines.append(f"- in the vault: {_plain(record['changes'])}")
    return "\n".join(lines).replace("\n-", "\n\n-", 1)


def _plain(text: str) -> str:
    """A foreign text on one line, shortened, without what Markdown would take for a tag."""
    return " ".join(shown(text, CLIPPED).split()).replace("<", "&lt;")


def _code(text: str) -> str:
    """A foreign text as a code span that it cannot end."""
    text = " ".join(shown(text, CLIPPED).split())
    ticks = "`" * (1 + max((len(run) for run in re.findall("`+", text)), default=0))
    return f"{ticks} {text} {ticks}" if "`" in text else f"`{text}`"


def console_tables(result: dict) -> list["Table"]:
    """The summary, passes by tag, tools that did not always pass, and failures by code."""
    summary = result["summary"]
    measures = [*summary_rows(summary), *speed_rows(result)]
    tables = [console_table(result["label"], ["measure", "value"], measures)]
    groups = group_rows(summary)
    failing = {name: rate for name, rate in summary["by_tool"].items() if rate["passed"] < rate["of"]}
    groups["tool"] = [(name, f"{rate['passed']}/{rate['of']}") for name, rate in sorted(failing.items())]
    for name, rows in groups.items():
        if rows:
            tables.append(console_table("", [name, "cases" if name == "failure code" else "passes"], rows))
    return tables


def console_table(title: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> "Table":
    from rich.table import Table

    table = Table(title=title or None, title_justify="left")
    for index, name in enumerate(head):
        table.add_column(name, justify="left" if index == 0 else "right")
    for row in rows:
        table.add_row(*row)
    return table


def ladder_table(results: list[Path]) -> tuple["Table", str]:
    """One row per result file, in the given order, as a rich table and as Markdown."""
    rows = [ladder_row(read_result(path)) for path in results]
    title = "Same prompts for every model; in brackets the rate and its 95 % Wilson interval"
    return console_table(title, LADDER_HEAD, rows), markdown_table(LADDER_HEAD, rows)


def ladder_row(result: dict) -> list[str]:
    """The result as a row of the table of several models."""
    summary = result["summary"]
    outcomes = summary["outcomes"]
    return [
        result["label"],
        result["settings"]["format"],
        shown_rate(summary["pass"]),
        shown_rate(summary["right_tool"]),
        shown_rate(summary["valid_call"]),
        str(outcomes["server_lost"]),
        str(outcomes["infra"]),
        f"{result['seconds']:.0f}",
    ]
