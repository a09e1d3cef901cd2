"""How fast a GGUF file is served here: time to load, tokens a second of reading a prompt and of writing."""

import statistics
import time
from pathlib import Path

from lib.errors import CannotRun
from lib.server import serve

PROMPT_TOKENS, WRITTEN_TOKENS = 256, 64
WORD = " note"  # one token of nearly every tokenizer; more than enough of them are cut to PROMPT_TOKENS
ANSWER_SECONDS = 600


def measure(gguf: Path, rounds: int) -> dict:
    """{"load_s", "prompt_tps", "write_tps"}: medians over rounds, each with a server of its own.

    The file is in the system's cache from the second round on; the health check looks ten times a second.
    """
    found = [one_round(gguf) for _ in range(rounds)]
    return {key: statistics.median(each[key] for each in found) for key in found[0]}


def one_round(gguf: Path) -> dict:
    """The figures of one server, as llama-server's own clock has them but for loading."""
    import requests

    started = time.monotonic()
    with serve(gguf, context=1024, parallel=1) as server, requests.Session() as session:
        session.trust_env = False
        loaded = time.monotonic() - started
        try:
            answer = session.post(f"{server.url}/tokenize", json={"content": WORD * 2 * PROMPT_TOKENS}, timeout=60)
            prompt = answer.json()["tokens"][:PROMPT_TOKENS]
            body = {"prompt": prompt, "n_predict": WRITTEN_TOKENS, "ignore_eos": True, "temperature": 0}
            body |= {"cache_prompt": False}
            timings = session.post(f"{server.url}/completion", json=body, timeout=ANSWER_SECONDS).json()["timings"]
        except (requests.RequestException, ValueError, KeyError) as error:
            raise CannotRun(f"{gguf}: loads, but was not measured ({error}).\n{server.last_words()}") from error
    return {
        "load_s": loaded,
        "prompt_tps": float(timings["prompt_per_second"]),
        "write_tps": float(timings["predicted_per_second"]),
    }
