"""What the evaluations of a run say, in short: a row for each model file, for lists, cards and tables of quants."""

from pathlib import Path

from evaluator.reports import RATES, markdown_table, shown_rate
from evaluator.results import RESULTS, evaluations, read_result
from evaluator.reuse import place_of
from evaluator.rungs import rungs_of
from lib.runs import read_manifest

MEASURES = ("pass", "right_tool", "valid_call")
HEAD = ("model", "prompts", *(RATES[key] for key in MEASURES))


def scores_of(run: Path) -> list[dict]:
    """A row for each evaluation that came to its end: of the base and the SFT run before it, then of the run's own."""
    own = [(folder, True) for folder in evaluations(run)]
    known = {folder for folder, _ in own}
    form = read_manifest(run)["settings"]["format"]
    before = [place_of(rung.gguf, form) for rung in rungs_of(run) if rung.gguf]
    places = [(place, False) for place in before if place not in known and (place / RESULTS).is_file()] + own
    return [score(result, own) for place, own in places if not (result := read_result(place))["stopped"]]


def score(result: dict, own: bool) -> dict:
    """{"label", "kind", "file", "own", "prompts", "prompts_sha256", "cases", "rates": key -> (measure, rate)}."""
    settings, summary = result["settings"], result["summary"]
    file = settings.get("gguf") or settings.get("model") or result["label"]
    return {
        "label": result["label"],
        "kind": file.removesuffix(".gguf").rsplit("-", 1)[-1],
        "file": file,
        "own": own,
        "prompts": settings["prompts"],
        "prompts_sha256": settings.get("prompts_sha256"),
        "cases": summary["cases"],
        "rates": {key: (RATES[key], summary[key]) for key in MEASURES},
    }


def score_table(scores: list[dict]) -> str:
    """Markdown: a line for each row."""
    rows = [
        (
            named(row),
            ", ".join(row["prompts"]),
            *(shown_rate(row["rates"][k][1]) for k in MEASURES),
        )
        for row in scores
    ]
    return markdown_table(HEAD, rows)


def named(row: dict) -> str:
    """The model's label, with its type where that does not say it: "KTO (f16)", "KTO Q4_K_M"."""
    return row["label"] if row["kind"] in row["label"] else f"{row['label']} ({row['kind']})"


def in_short(run: Path) -> str:
    """ "19/47 (40 %, 28 %–55 %) on full_coverage", of the run's f16 file where it was evaluated; "" without any."""
    own = [row for row in scores_of(run) if row["own"]]
    row = next((row for row in own if row["kind"] == "f16"), own[0] if own else None)
    return f"{shown_rate(row['rates']['pass'][1])} on {', '.join(row['prompts'])}" if row else ""
