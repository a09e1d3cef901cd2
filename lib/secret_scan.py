"""Secrets that must not leave the machine: files that hold nothing else, tokens and keys by their form, and our own."""

import os
import re
from collections.abc import Iterable
from pathlib import Path

from lib import env

FORBIDDEN = (".env", ".env.*", ".netrc", "*.pem", "*.p12", "id_rsa*", "id_ed25519*", "credentials*", ".git-credentials")
KINDS = {
    "a Hugging Face token": rb"\bhf_[A-Za-z0-9]{30,}",
    "an OpenAI or Anthropic key": rb"\bsk-[A-Za-z0-9_-]{24,}",
    "a GitHub token": rb"\b(?:gh[pousr]_[A-Za-z0-9]{36}|github_pat_[A-Za-z0-9_]{60,})",
    "an AWS key": rb"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b",
    "a Google key": rb"\bAIza[0-9A-Za-z_-]{35}\b",
    "a Slack token": rb"\bxox[abprs]-[0-9A-Za-z-]{20,}",
    "a private key": rb"-----BEGIN [A-Z ]*PRIVATE KEY-----",
}
BINARY = {".safetensors", ".gguf", ".bin", ".model", ".png"}  # weights look like anything
CHUNK, OVERLAP = 1 << 22, 4096
OURS = ("HF_TOKEN", "HF_API_KEY", "WANDB_API_KEY")
SHORTEST = 8  # characters; a shorter value stands in many files by chance


def findings(paths: Iterable[Path]) -> list[str]:
    """One line for each file that must not be published: where and what, never the secret itself."""
    patterns = {kind: re.compile(pattern) for kind, pattern in KINDS.items()} | own_secrets()
    found = []
    for path in paths:
        if any(path.match(name) for name in FORBIDDEN) and path.name != ".env.example":
            found.append(f"{path}: a file for secrets")
        elif path.suffix not in BINARY:
            found += [f"{path}: {kind}" for kind in kinds_in(path, patterns)]
    return found


def own_secrets() -> dict[str, re.Pattern]:
    """What to look for because .env or the environment holds it: kind -> its exact bytes."""
    kept = {name: os.environ[name] for name in OURS if name in os.environ} | env.read_env(env.ENV_FILE)
    return {
        f"the value of {name}": re.compile(re.escape(value.encode()))
        for name, value in kept.items()
        if len(value) >= SHORTEST and name.endswith(("TOKEN", "KEY", "SECRET", "PASSWORD"))
    }


def kinds_in(path: Path, patterns: dict[str, re.Pattern]) -> list[str]:
    """The kinds of secrets in a file, read in pieces that overlap."""
    kinds: dict[str, None] = {}
    with open(path, "rb") as handle:
        tail = b""
        while piece := handle.read(CHUNK):
            text = tail + piece
            kinds |= {kind: None for kind, pattern in patterns.items() if pattern.search(text)}
            tail = text[-OVERLAP:]
    return list(kinds)
