"""The parts of a world file beside its fixture and banks, checked for their form: series of notes, and asides."""

from lib.errors import CannotRun
from lib.synth.worlds import NOW, series_days
from lib.vault.records import time_of

SERIES_FIELDS = ("path", "every", "count", "head", "pick", "lines")
ASIDE_PLACES = ("before", "after")  # where sentences about the person's day may stand, seen from the request


def refuse_unknown(place, given, known, noun):
    """CannotRun naming the first of the given names that is not known."""
    unknown = sorted(set(given) - set(known))
    if unknown:
        raise CannotRun(f"{place}: unknown {noun} {unknown[0]!r}. Known are: {', '.join(sorted(known))}.")


def check_asides(place, world):
    """Refuse asides that do not have both places, or that are not whole sentences."""
    asides = world.get("asides")
    if asides is None:
        return
    where = f"{place}: asides"
    if not isinstance(asides, dict):
        raise CannotRun(f"{where}: write a mapping with {' and '.join(ASIDE_PLACES)}.")
    refuse_unknown(where, asides, ASIDE_PLACES, "place")
    for part in ASIDE_PLACES:
        texts = asides.get(part)
        if not isinstance(texts, list) or not texts:
            raise CannotRun(f"{where}.{part}: write a list of sentences.")
        for text in texts:
            if not isinstance(text, str) or text[-1:] not in (".", "!"):
                raise CannotRun(f"{where}.{part}: {text!r} must be a text that ends in . or ! and asks for nothing.")


def check_series(place, world):
    """Refuse a series that is not of the form, or that would write over another note of the world."""
    taken = {**world["notes"], **(world.get("sometimes") or {})}
    now = time_of(world.get("now") or NOW, f"{place}: now")
    for number, series in enumerate(world.get("series") or [], 1):
        where = f"{place}: series, record {number}"
        if not isinstance(series, dict):
            raise CannotRun(f"{where}: write a list of mappings, each with {', '.join(SERIES_FIELDS)}.")
        refuse_unknown(where, series, (*SERIES_FIELDS, "tags"), "field")
        missing = [part for part in SERIES_FIELDS if part not in series]
        if missing:
            raise CannotRun(f"{where}: {missing[0]} is missing.")
        if fault := series_fault(series):
            raise CannotRun(f"{where}: {fault}")
        days = series_days(series, now)
        for path in days:
            if path in taken:
                raise CannotRun(f"{where}: {path} is also another note; choose another path.")
        taken |= days


def series_fault(series):
    """What is wrong with the values of a series, or None."""
    if not whole_numbers([series["every"]]):
        return "every must be a number of days, 1 or more."
    for part in ("count", "pick"):
        if not whole_numbers(series[part], 2) or series[part][0] > series[part][1]:
            return f"{part} must be two whole numbers, least and most, like [2, 4]."
    lines, tags = series["lines"], series.get("tags") or []
    for part, texts in (("path", [series["path"]]), ("head", [series["head"]]), ("lines", lines), ("tags", tags)):
        if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
            return f"{part} must be text; quote what holds any of : # [ {{."
    if "{date}" not in series["path"]:
        return "path must hold {date}, or all its notes would be one."
    if len(set(lines)) < len(lines):
        return f"the line {max(lines, key=lines.count)!r} is there twice."
    if len(lines) < series["pick"][1]:
        return f"pick takes up to {series['pick'][1]} lines, but only {len(lines)} are there."
    return None


def whole_numbers(values, count=1):
    """Whether the values are a list of so many whole numbers from 1 up."""
    return (
        isinstance(values, list)
        and len(values) == count
        and all(isinstance(value, int) and not isinstance(value, bool) and value >= 1 for value in values)
    )
