"""The quants of a run side by side: size, speed, pass rate against f16; and which one to take, and why."""

from html import escape
from pathlib import Path

from evaluator.comparison import compare, judgement
from evaluator.reports import markdown_table, shown_rate
from evaluator.results import RESULTS, read_result
from evaluator.reuse import place_of
from lib import charts, divergence, upload
from lib.disk import sha256, size_text
from lib.errors import CannotRun
from lib.gates_page import STYLE as PAGE_STYLE
from lib.page import document
from lib.runs import read_manifest

FULL = "f16"
HEAD = (
    "type",
    "size",
    "of f16",
    "load",
    "prompt tokens/s",
    "written tokens/s",
    "KL",
    "same top",
    "passes",
    "against f16",
)
NONE = "–"
BARS = (
    ("write_tps", "Tokens written a second", 1),
    ("prompt_tps", "Prompt tokens read a second", None),
    ("load_s", "Seconds to load", 2),
    ("kl", "KL from f16, nats a token", 4),
)
# One line a row where there is room; only the last two cells may break.
STYLE = f"{PAGE_STYLE}td:not(:nth-last-child(-n+2)) {{ white-space: nowrap; }} .charts {{ margin-top: 1.5rem; }}"
MARGIN = 0.05  # share of cases that a quant may lose against f16: two of 47


def quants_of(run: Path) -> list[dict]:
    """{"type", "path", "bytes", "kl", "top", "result"} of each model file of a run, the largest first; result: its
    evaluation, None where there is none or it is of another file. CannotRun for a file that was cut."""
    rows = upload.quants_of(run)
    form = read_manifest(run)["settings"]["format"]
    return [{"kl": None, "top": None} | row | {"result": result_of(row["path"], form, row)} for row in rows]


def result_of(gguf: Path, form: str, entry: dict) -> dict | None:
    """The whole evaluation of exactly this file."""
    place = place_of(gguf, form) / RESULTS
    result = read_result(place) if place.is_file() else None
    if result is None or result["stopped"]:
        return None
    return result if result["settings"].get("gguf_sha256") == (entry.get("sha256") or sha256(gguf)) else None


def judged(rows: list[dict]) -> list[dict]:
    """The rows with "step": each one's comparison with f16 on the same prompts, None where it cannot be made."""
    full = next((row["result"] for row in rows if row["type"] == FULL), None)
    return [row | {"step": step_of(full, row)} for row in rows]


def step_of(full: dict | None, row: dict) -> dict | None:
    if full is None or row["result"] is None or row["type"] == FULL:
        return None
    try:
        return compare(full | {"label": FULL}, row["result"] | {"label": row["type"]})  # a ladder calls them otherwise
    except CannotRun:
        return None


def is_worse(step: dict) -> bool:
    """Whether the quant lost against f16 by more than noise, or by more than MARGIN: a small set proves little."""
    return step["difference"] < -MARGIN or (step["p"] <= step["alpha"] and step["difference"] < 0)


def choice(rows: list[dict]) -> tuple[dict | None, str]:
    """(the row to take or None, why): the smallest file that passes about as many cases as f16, see is_worse."""
    compared = [row for row in rows if row["step"]]
    full = next((row for row in rows if row["type"] == FULL), None)
    if full is None or not compared:
        return None, "No choice yet: f16 and the quants have not been evaluated on the same prompts (make ladder)."
    kept = [row for row in compared if not is_worse(row["step"])]
    if not kept:
        return full, "Take f16: every quant passes clearly fewer cases."
    best = min(kept, key=lambda row: (row["bytes"], -row["write_tps"]))
    why = (
        f"Take {best['type']}: {size_text(best['bytes'])}, {100 * best['bytes'] / full['bytes']:.0f} % of f16, and "
        f"{best['write_tps'] / full['write_tps']:.1f} times its speed of writing. {best['step']['sentence']}"
    )
    if best["kl"] is not None:
        why += f" KL from f16: {divergence.shown(best)} nats a token."
    if dropped := [row["type"] for row in compared if is_worse(row["step"])]:
        why += f" Worse than f16, beyond noise or by more than {100 * MARGIN:.0f} points: {', '.join(dropped)}."
    return best, why


def cells(row: dict, full: int) -> tuple[str, ...]:
    """A row of the table."""
    step = row["step"]
    against = f"loses {len(step['regressions'])}, gains {len(step['gains'])}: {judgement(step)}" if step else ""
    return (
        row["type"],
        size_text(row["bytes"]),
        f"{100 * row['bytes'] / full:.0f} %",
        f"{row['load_s']:.1f} s",
        f"{row['prompt_tps']:.0f}",
        f"{row['write_tps']:.1f}",
        NONE if row["kl"] is None else divergence.shown(row),
        NONE if row["top"] is None else f"{100 * row['top']:.1f} %",
        shown_rate(row["result"]["summary"]["pass"]) if row["result"] else NONE,
        against,
    )


def table_rows(rows: list[dict]) -> list[tuple[str, ...]]:
    return [cells(row, rows[0]["bytes"]) for row in rows]


def markdown(rows: list[dict], why: str) -> str:
    return f"{markdown_table(HEAD, table_rows(rows))}\n\n{why}\n"


def page(run: Path, rows: list[dict], why: str) -> str:
    """One HTML page with the table, pass rate by size, speeds and divergence; it needs no network."""
    points = [
        (row["type"], row["bytes"] / 1e6, rate["rate"], rate["low"], rate["high"])
        for row in rows
        if row["result"] and (rate := row["result"]["summary"]["pass"])["rate"] is not None
    ]
    plots = [("Cases passed, by size", charts.scatter(points, "MB", "pass rate by file size"))] if points else []
    for key, title, digits in BARS:
        if bars := [(row["type"], round(row[key], digits)) for row in rows if row[key] is not None]:
            plots.append((title, charts.bars(bars, None, title)))
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in HEAD)
    lines = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in line)}</tr>" for line in table_rows(rows))
    shown = "".join(f"<div><h3>{escape(title)}</h3>{svg}</div>" for title, svg in plots)
    body = (
        f"<h1>Quants of {escape(run.name)}</h1><p>{escape(why)}</p>"
        f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{lines}</tbody></table></div>'
        f'<div class="charts">{shown}</div>'
    )
    return document(f"Quants of {run.name}", body, STYLE)
