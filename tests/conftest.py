"""Settings and fixtures shared by all tests."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

# Two workers share the cores; a thread pool in each of them only fights the other.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# No test may need the network.
os.environ["HF_HUB_OFFLINE"] = "1"


@pytest.fixture(scope="session")
def root():
    """The project's folder."""
    return ROOT


@pytest.fixture(autouse=True)
def in_project_folder(monkeypatch):
    """Every test starts in the project's folder, where commands are run from."""
    monkeypatch.chdir(ROOT)


@pytest.fixture(autouse=True)
def no_env_file(monkeypatch):
    """Your .env decides no test."""
    monkeypatch.setattr("lib.env.ENV_FILE", Path("/nonexistent/.env"))
