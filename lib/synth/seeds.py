"""Random generators and digests that are the same on every machine and in every process."""

import hashlib
import json
import random

ID_LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789"


def digest(*parts, length=16):
    """The first `length` hex digits of a SHA-256 over the parts written as JSON."""
    text = json.dumps(parts, sort_keys=True, ensure_ascii=False, default=str)
    return hashlib.sha256(text.encode("utf-8")).hexdigest()[:length]


def generator(*parts):
    """A random.Random seeded by the parts; hash() would differ from process to process."""
    return random.Random(int(digest(*parts, length=16), 16))


def stamp_id(prefix, now_ms, rng):
    """An id in the toolset's form: prefix, 13 digits of milliseconds, 9 letters or digits."""
    return f"{prefix}_{now_ms:013d}_{''.join(rng.choice(ID_LETTERS) for _ in range(9))}"


def dump_row(row):
    """One row as the dataset file holds it."""
    return json.dumps(row, ensure_ascii=False)
