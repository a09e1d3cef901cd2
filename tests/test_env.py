"""lib.env: what .env says, and who wins."""

import pytest

from lib import env


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("HF_TOKEN=abc", {"HF_TOKEN": "abc"}),
        ("  HF_TOKEN = abc  ", {"HF_TOKEN": "abc"}),
        ("export HF_TOKEN='a b'", {"HF_TOKEN": "a b"}),
        ('HF_TOKEN="a=b"', {"HF_TOKEN": "a=b"}),
        ("HF_TOKEN=", {}),
        ("# HF_TOKEN=abc", {}),
        ("no equals sign", {}),
        ("two words=abc", {}),
        ("\ufeffHF_TOKEN=abc", {"HF_TOKEN": "abc"}),
    ],
)
def test_a_line_of_env_gives(tmp_path, line, expected):
    path = tmp_path / ".env"
    path.write_text(line + "\n", encoding="utf-8")
    assert env.read_env(path) == expected


def test_a_missing_file_says_nothing(tmp_path):
    assert env.read_env(tmp_path / ".env") == {}


def test_the_environment_beats_the_file(tmp_path, monkeypatch):
    (tmp_path / ".env").write_text("WANDB_API_KEY=file\nHF_HOME=/models\n")
    monkeypatch.setattr(env, "ENV_FILE", tmp_path / ".env")
    monkeypatch.setenv("WANDB_API_KEY", "mine")
    monkeypatch.setenv("HF_HOME", "")
    monkeypatch.delenv("HF_HOME")
    env.load_env()
    assert env.os.environ["WANDB_API_KEY"] == "mine"
    assert env.os.environ["HF_HOME"] == "/models"


def test_hf_api_key_stands_in_for_a_missing_token(tmp_path, monkeypatch):
    (tmp_path / ".env").write_text("HF_API_KEY=key\n")
    monkeypatch.setattr(env, "ENV_FILE", tmp_path / ".env")
    monkeypatch.setattr(env.os, "environ", {})
    env.load_env()
    assert env.os.environ["HF_TOKEN"] == "key"


def test_the_example_names_nothing_that_is_set():
    from pathlib import Path

    text = Path(".env.example").read_text(encoding="utf-8")
    assert env.read_env(Path(".env.example")) == {}
    for name in ("HF_TOKEN", "HF_API_KEY", "WANDB_API_KEY", "HF_HOME", "LMSTUDIO_HOST", "OLLAMA_HOST"):
        assert name in text
