"""What a row says, made small enough to compare millions: a digest, hashes of its runs of words, MinHash bands.

The signature is datasketch's MinHash over word 3-grams; a band is a stretch of it, and two rows that agree in all of
one band are worth comparing (locality-sensitive hashing: Leskovec, Rajaraman, Ullman, Mining of Massive Datasets,
chapter 3). MinHashLSH of the same library holds every row in memory, kilobytes each, so bands are grouped on disk.
"""

import hashlib
import json
import re
import unicodedata
import zlib
from functools import lru_cache

import numpy as np
import orjson

from lib.chat import Call, Example, Result, Text

PERMUTATIONS = 128
FOUND = 0.95  # the least share of pairs at the very threshold that agree in a band
HOST_FIELDS = ("sessionId", "workspaceId")  # of a context: the host's, not the conversation's
WORD = re.compile(r"\w+")
_MIX = np.array([0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9], np.uint64)  # odd: no bit is lost


def normalised(example: Example) -> str:
    """The conversation and its label in one spelling, the same for both forms of a row.

    Case and spacing of words do not count, nor the order of keys, nor which session and workspace a context names.
    """
    parts = [str(example.label), _written(example.tools) if example.tools else ""]
    for turn in example.turns:
        parts.append(turn.role)
        parts += [_said(part) for part in turn.parts]
    return "\n".join(parts)


def _said(part) -> str:
    if isinstance(part, Text):
        text = part.text if part.text.isascii() else unicodedata.normalize("NFKC", part.text)
        return " ".join(text.casefold().split())
    if part.raw is not None:
        return part.raw
    if isinstance(part, Result):
        return f"Result: {_written(part.content)}"
    return f"tool_call: {part.name} {_written(_without_host(part))}"


def _without_host(call: Call) -> dict:
    context = call.arguments.get("context")
    if type(context) is not dict:
        return call.arguments
    kept = {name: value for name, value in context.items() if name not in HOST_FIELDS}
    return {**call.arguments, "context": kept}


def _written(value) -> str:
    try:
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()
    except TypeError:  # integers beyond 64 bits
        return json.dumps(value, sort_keys=True, ensure_ascii=False)


def digest(text: str) -> int:
    """64 bits of BLAKE2: among ten million texts two different ones share it once in 370,000 files."""
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little")


def grams(text: str) -> np.ndarray:
    """The word 3-grams of a text as ascending 32-bit numbers, each once; a shorter text is one run."""
    words = [_number(word) for word in WORD.findall(text.casefold())]
    words += [0] * (3 - len(words))
    hashes = np.array(words, np.uint64)
    runs = hashes[:-2] * _MIX[0] + hashes[1:-1] * _MIX[1] + hashes[2:] * _MIX[2]
    return np.unique(runs >> np.uint64(32))


@lru_cache(maxsize=1 << 16)
def _number(word: str) -> int:
    return zlib.crc32(word.encode("utf-8", "surrogatepass"))


def jaccard(left: np.ndarray, right: np.ndarray) -> float:
    """Shared members by all members of two results of grams."""
    shared = len(np.intersect1d(left, right, assume_unique=True))
    return shared / (len(left) + len(right) - shared)


def bands_for(threshold: float, permutations: int = PERMUTATIONS) -> tuple[int, int]:
    """(bands, rows of each): the longest bands of which pairs at the threshold share one with a chance of FOUND.

    Two sets of Jaccard s agree in a stretch of r values with probability s^r, so in one of b with 1 - (1 - s^r)^b.
    """
    for length in range(permutations, 0, -1):
        count = permutations // length
        if 1 - (1 - threshold**length) ** count >= FOUND:
            return count, length
    return permutations, 1


def signature(members: np.ndarray) -> np.ndarray:
    """The MinHash of a result of grams: PERMUTATIONS numbers of 32 bits."""
    made = empty_minhash(int).copy()
    made.update_batch(members.tolist())
    return made.hashvalues


@lru_cache(maxsize=2)
def empty_minhash(hashfunc=None):
    """A MinHash to copy: making its permutations takes longer than filling one."""
    from datasketch import MinHash

    return MinHash(PERMUTATIONS, hashfunc=hashfunc)


def band_keys(members: np.ndarray, bands: tuple[int, int]) -> np.ndarray:
    """A 64-bit key for each band of the signature; equal where the band is, and different for different bands."""
    count, length = bands
    values = signature(members)[: count * length].astype(np.uint64)
    return (values * _weights(count * length)).reshape(count, length).sum(axis=1)


@lru_cache(maxsize=4)
def _weights(count: int) -> np.ndarray:
    """Odd 64-bit numbers, the same in every process."""
    drawn = np.random.RandomState(1).randint(0, 1 << 63, count, np.uint64)
    return drawn * np.uint64(2) + np.uint64(1)
