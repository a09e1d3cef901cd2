"""Settings and fixtures shared by all tests."""

import itertools
import os
import sys
from dataclasses import replace
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
NUMBERS = itertools.count()

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
def denormals():
    """Training in a worker's process flushes denormals to 0, and hypothesis needs them in the tests that follow."""
    if "torch" in sys.modules:
        sys.modules["torch"].set_flush_denormal(False)


@pytest.fixture(autouse=True)
def no_env_file(monkeypatch):
    """Your .env decides no test."""
    monkeypatch.setattr("lib.env.ENV_FILE", Path("/nonexistent/.env"))


@pytest.fixture
def retries_at_once(monkeypatch):
    """An evaluation asks a server again without a pause."""
    from evaluator.conversation import Asking

    monkeypatch.setattr("evaluator.session.Asking", lambda *args: replace(Asking(*args), sleep=lambda seconds: None))


@pytest.fixture(scope="session")
def llama():
    """llama.cpp's programs, where they are found without building them."""
    from lib import llama_cpp

    found = llama_cpp.find()
    if found is None:
        pytest.skip("llama.cpp is not built yet: python -m scripts.llama_cpp")
    return found


@pytest.fixture(scope="module")
def chromium(tmp_path_factory):
    """A running browser."""
    from tests import browser

    program = browser.find()
    if program is None:
        pytest.skip("no Chromium on PATH; install chromium, or name one: CHROMIUM=/path/to/chrome")
    running = browser.Browser(program, tmp_path_factory.mktemp("profile"))
    yield running
    running.close()


@pytest.fixture(scope="session")
def smollm2():
    """The folder of SmolLM2-135M-Instruct, where it has been fetched before."""
    from lib.base_model import fetch
    from lib.errors import CannotRun

    try:
        return fetch("SmolLM2-135M-Instruct")
    except CannotRun as error:
        pytest.skip(str(error))


@pytest.fixture(autouse=True)
def own_references(monkeypatch, tmp_path_factory):
    """No test reads reference log-probabilities of another, or leaves some in build/."""
    monkeypatch.setattr("lib.references.FOLDER", tmp_path_factory.getbasetemp() / f"references-{next(NUMBERS)}")


@pytest.fixture(scope="session")
def tiny_base(tmp_path_factory):
    """A random base model; beside it, in `adapter`, a LoRA adapter of it."""
    from tests.ship_support import write_base

    pytest.importorskip("peft")
    return write_base(tmp_path_factory.mktemp("tiny"))


@pytest.fixture
def shipped(tmp_path, tiny_base, monkeypatch):
    """A finished KTO run with adapter, GGUF files and evaluations, beside the SFT run that it came from."""
    from tests.ship_support import write_shipped

    monkeypatch.setattr("lib.gguf_source.base_folder", lambda size, tools: tmp_path / "nothing")
    return write_shipped(tmp_path, tiny_base)


@pytest.fixture
def hub_server(monkeypatch):
    """A Hub on this machine, and the client told to talk to it over plain HTTP, without pauses between its tries."""
    from huggingface_hub import constants

    from tests.hub_loopback import hub

    with hub() as running:
        for name, value in (("ENDPOINT", running.url), ("HF_HUB_OFFLINE", False), ("HF_HUB_DISABLE_XET", True)):
            monkeypatch.setattr(constants, name, value)
        monkeypatch.setattr("huggingface_hub.utils._http.time.sleep", lambda seconds: None)
        monkeypatch.setattr("lib.hub.SENT_ALONE", 1000)
        monkeypatch.setenv("HF_TOKEN", "hf_writer")
        yield running
