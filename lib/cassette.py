"""Answers of a model kept on disk, one file a question under the question's own digest: asked again, it costs nothing.

The digest is over everything that decides the answer: model, messages and settings. Neither the server's address nor a
key is part of it or of the file. A file is written whole or not at all, so a killed program leaves no half answers.
"""

import hashlib
import json
from pathlib import Path

from lib.jsonl import write_json


def digest_of(question: dict) -> str:
    """The SHA-256 of a question, in hex: equal for equal questions, whatever the order of their keys."""
    text = json.dumps(question, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


class Cassette:
    """The folder of answers."""

    def __init__(self, folder):
        self.folder = Path(folder)

    def path(self, question: dict) -> Path:
        return self.folder / f"{digest_of(question)}.json"

    def find(self, question: dict) -> dict | None:
        """The answer kept for a question; None when there is none, or when its file was damaged or edited."""
        try:
            kept = json.loads(self.path(question).read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):
            return None
        if not isinstance(kept, dict) or kept.get("question") != question or not isinstance(kept.get("answer"), dict):
            return None
        return kept["answer"]

    def keep(self, question: dict, answer: dict) -> None:
        """Write the answer to disk before anything is made of it."""
        write_json(self.path(question), {"question": question, "answer": answer})
