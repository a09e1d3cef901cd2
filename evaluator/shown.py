"""What a model or a server wrote, made fit for a report: no control characters, no half surrogates, not 10 MB of it."""

import json

LIMIT = 4000  # characters of one text on a page; results.json has it whole


def _marks() -> dict[int, str]:
    """What stands in for a character that a reader would not see, or that would change what is seen around it."""
    marks = {code: chr(0x2400 + code) for code in range(0x20) if code not in (0x09, 0x0A)}
    marks |= {0x7F: "\u2421"} | {code: f"\\x{code:02x}" for code in range(0x80, 0xA0)}
    # Marks of writing direction can show a text in another order than it is stored in.
    turning = (0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A))
    marks |= {code: f"\\u{code:04x}" for code in turning}
    # Neither XML nor UTF-8 takes these.
    return marks | {code: "\ufffd" for code in (*range(0xD800, 0xE000), 0xFFFE, 0xFFFF)}


_MARKS = _marks()


def visible(text: str) -> str:
    """The text with a visible stand-in for each control character but tab and line end; fit for UTF-8, XML and HTML."""
    return text.replace("\r\n", "\n").translate(_MARKS)


def shown(value: object, limit: int = LIMIT) -> str:
    """A text (or another value as JSON) made visible; beyond the limit its start, and how long it is."""
    text = value if isinstance(value, str) else as_json(value)
    if len(text) <= limit:
        return visible(text)
    return f"{visible(text[:limit])}… [{len(text):,} characters in all]"


def as_json(value: object) -> str:
    """The value as indented JSON; what JSON cannot hold as Python writes it, or a note where neither works."""
    try:
        return json.dumps(value, ensure_ascii=False, indent=1, default=repr)
    except (ValueError, RecursionError):
        return "(a value that cannot be written as JSON)"
