"""Date ranges of searches: whole days in UTC, both ends included."""

from datetime import UTC, date, datetime

from lib.vault.call import ToolError

DAY_MS = 86_400_000


def window(given: dict | None) -> tuple[float, float]:
    """(first ms, ms after the last) of a `dateRange`; open ends are infinite."""
    given = given or {}
    start, end = (_start_of_day(given[key], key) if key in given else None for key in ("start", "end"))
    if start is not None and end is not None and start > end:
        raise ToolError("dateRange.start is later than dateRange.end")
    return (float("-inf") if start is None else start, float("inf") if end is None else end + DAY_MS)


def in_range(ms: int, times: tuple[float, float]) -> bool:
    """True when a time lies in the window."""
    return times[0] <= ms < times[1]


def _start_of_day(text: str, key: str) -> int:
    try:
        day = date.fromisoformat(text)
    except ValueError:
        raise ToolError(f"dateRange.{key} is not a date like 2025-11-03") from None
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp() * 1000)
