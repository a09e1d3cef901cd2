"""Secrets are found by their form, by name, and because they are ours; weights and plain words are left alone."""

import pytest

from lib import secret_scan


@pytest.fixture(autouse=True)
def bare(monkeypatch):
    for name in secret_scan.OURS:
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize("text, kind", [
    ("hf_" + "aB3" * 12, "a Hugging Face token"),
    ("sk-" + "a1B2" * 8, "an OpenAI or Anthropic key"),
    ("ghp_" + "a" * 36, "a GitHub token"),
    ("AKIA" + "A1" * 8, "an AWS key"),
    ("xoxb-" + "1" * 24, "a Slack token"),
    ("-----BEGIN OPENSSH PRIVATE KEY-----", "a private key"),
])  # fmt: skip
def test_each_kind_is_found_in_the_middle_of_a_text(tmp_path, text, kind):
    path = tmp_path / "notes.txt"
    path.write_text(f"some words, {text} and more")
    assert secret_scan.findings([path]) == [f"{path}: {kind}"]


@pytest.mark.parametrize(
    "text", ["hf_model", "task-oriented planning-and-execution", "sk-learn", "AKIA", "a risk-free thing"]
)
def test_words_are_no_secrets(tmp_path, text):
    path = tmp_path / "notes.txt"
    path.write_text(text)
    assert secret_scan.findings([path]) == []


def test_files_that_hold_nothing_else_are_known_by_name(tmp_path):
    names = [".env", ".env.local", "id_rsa", "server.pem", ".netrc"]
    for name in [*names, ".env.example"]:
        (tmp_path / name).write_text("")
    found = secret_scan.findings(sorted(tmp_path.iterdir()))
    assert len(found) == len(names) and not any(".env.example" in line for line in found)


def test_a_secret_across_two_pieces_of_a_large_file_is_found(tmp_path, monkeypatch):
    monkeypatch.setattr(secret_scan, "CHUNK", 5000)
    path = tmp_path / "big.jsonl"
    path.write_bytes(b"x " * 2490 + b"hf_" + b"a" * 34 + b" " + b"y" * 9000)
    assert secret_scan.findings([path]) == [f"{path}: a Hugging Face token"]


def test_our_own_values_are_looked_for_and_short_ones_are_not(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "an-unusual-token-form")
    (tmp_path / ".myenv").write_text("TEACHER_API_KEY=short\nPATH_OF=an-unusual-place\n")
    monkeypatch.setattr("lib.env.ENV_FILE", tmp_path / ".myenv")
    path = tmp_path / "config.json"
    path.write_text("short, an-unusual-place, an-unusual-token-form")
    assert secret_scan.findings([path]) == [f"{path}: the value of HF_TOKEN"]


def test_weights_are_not_read(tmp_path):
    path = tmp_path / "model.safetensors"
    path.write_bytes(b"hf_" + b"a" * 40)
    assert secret_scan.findings([path]) == []
