"""Evaluation results on disk: found by file, evaluation folder or run folder, and read."""

from pathlib import Path

from lib import runs
from lib.errors import CannotRun
from lib.jsonl import read_object

RESULTS, JOURNAL = "results.json", "journal.jsonl"


def evaluations(place: Path, holding: str = RESULTS) -> list[Path]:
    """The evaluation folders that a path stands for: itself, or those of a run folder (or name in runs/)."""
    place = Path(place)
    if not place.exists() and (runs.RUNS / place.name / "eval").is_dir():
        place = runs.RUNS / place.name
    if (place / holding).is_file():
        return [place]
    return sorted(path.parent for path in place.glob(f"eval/*/{holding}"))


def result_file(place: Path) -> Path:
    """The results.json that a path stands for; of a run with several evaluations the one of its f16 file."""
    place = Path(place)
    if place.is_file():
        return place
    found = evaluations(place)
    if len(found) > 1:
        found = [folder for folder in found if "-f16-" in folder.name] or found
    if len(found) > 1:
        raise CannotRun(f"{place} holds several evaluations; name one: {', '.join(map(str, found))}.")
    return (found[0] if found else place) / RESULTS


def read_result(place: Path) -> dict:
    """The result that a path stands for."""
    path = result_file(place)
    if not path.exists():
        raise CannotRun(f"{path}: no such result. An evaluation writes it when it ends.")
    result = read_object(path, "It is not an evaluation result.")
    if not {"settings", "summary"} <= result.keys():
        raise CannotRun(f"{path}: not an evaluation result (it has no settings and summary).")
    return result
