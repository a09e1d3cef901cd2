"""A GGUF file proved before it gets its name: it loads, generates, and reads conversations as training did."""

import contextlib
import hashlib
import importlib
import json
from pathlib import Path

from lib import llama_cpp, parity, templates
from lib.cli import log
from lib.disk import cache_folder
from lib.errors import CannotRun
from lib.gguf_metadata import read_text, tokenizer_digest
from lib.jsonl import write_json
from lib.server import Server, serve

TEMPLATE_KEY = "tokenizer.chat_template"
TRIAL_TOKENS = 4
GATE_CONTEXT = 4096  # the longest conversation of the gate with all its tools in the prompt
# What the gate's verdict rests on beside the file: other code, another verdict.
CODE = ("parity.py", "parity_cases.py", "rendering.py", "spans.py", "ollama.py", "go_template.py", "templates/*")


def check_generates(server: Server, gguf: Path) -> None:
    """CannotRun unless the server generates tokens with probabilities that are numbers."""
    body = {"prompt": "Hello", "n_predict": TRIAL_TOKENS, "n_probs": 1, "temperature": 0, "ignore_eos": True}
    answer = asker(server)("/completion", body)
    if "error" in answer or "completion_probabilities" not in answer:
        raise CannotRun(f"{gguf}: loads, but does not generate.\n{server.last_words()}")
    # A model full of NaN still "generates": its probabilities come back as null.
    scores = [token.get("logprob") for token in answer["completion_probabilities"]]
    if not scores or not all(isinstance(score, (int, float)) for score in scores):
        raise CannotRun(f"{gguf}: loads, but generates nothing of worth ({json.dumps(answer)[:200]}).")


def verify(gguf: Path, threads: int | None = None) -> None:
    """Load the file with llama-server and let it generate; CannotRun when it cannot."""
    with serve(gguf, context=256, parallel=1, threads=threads, extra=["--no-warmup"]) as server:
        check_generates(server, gguf)


def verify_parity(gguf: Path, template: str, tokenizer_folder: Path) -> dict:
    """The gate's report on the file, which is also loaded and tried; ParityFailed with every fault by its name.

    A verdict holds for the tokenizer and template in the file, whatever its weights: it is kept in the cache.
    """
    kept = verdict_path(gguf, template)
    with serve(gguf, context=GATE_CONTEXT, parallel=1) as server:
        check_generates(server, gguf)
        if kept.is_file():
            return json.loads(kept.read_text(encoding="utf-8"))
        log("Comparing what is served with what was trained.")
        tokenizer = importlib.import_module("lib.tokenizer_torch").load_tokenizer(tokenizer_folder, template)
        gate = parity.Gate(tokenizer, template, asker(server))
        report = parity.check(gate, read_text(gguf, TEMPLATE_KEY))
    if report.findings:
        faults = sorted({finding.fault for finding in report.findings})
        shown = "\n".join(map(str, report.findings[:8]))
        raise parity.ParityFailed(f"{gguf.name} would not be served as it was trained: {', '.join(faults)}.\n{shown}")
    found = report.as_dict()
    with contextlib.suppress(OSError):  # a cache that cannot be written only costs the seconds again
        kept.parent.mkdir(exist_ok=True)
        write_json(kept, found)
    return found


def verdict_path(gguf: Path, template: str) -> Path:
    """Where the verdict on files with this tokenizer, template, llama.cpp and code is kept."""
    digest = hashlib.sha256(tokenizer_digest(gguf).encode() + template.encode())
    server = llama_cpp.tools().server.stat()
    digest.update(f"{server.st_size} {server.st_mtime_ns}".encode())
    for pattern in CODE:
        for path in sorted(templates.FOLDER.parent.glob(pattern)):
            if path.is_file():
                digest.update(path.read_bytes())
    return cache_folder("parity") / f"{digest.hexdigest()}.json"


def asker(server: Server):
    """ask(path, body): the server's answer as a dict; one that is no JSON comes back as an error."""
    import requests

    session = requests.Session()
    session.trust_env = False  # a proxy has no business between us and our own server

    def ask(path: str, body: dict) -> dict:
        try:
            answer = session.post(server.url + path, json=body, timeout=parity.SECONDS).json()
        except (requests.RequestException, ValueError) as error:
            return {"error": str(error)}
        return answer if isinstance(answer, dict) else {"error": str(answer)}

    return ask
