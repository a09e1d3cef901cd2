"""A model file served by a llama-server of our own: which file, started, stopped, and what is told when it dies."""

import contextlib

import pytest

from evaluator.__main__ import main, run_gguf
from evaluator.cases import load_cases
from evaluator.results import read_result
from lib.errors import CannotRun
from lib.toolset import load_toolset
from tests.commands import outcome
from tests.loopback import perfect_text, serving

pytestmark = pytest.mark.usefixtures("retries_at_once")


def cases():
    return load_cases(["full_coverage"], load_toolset())


def evaluate(*arguments):
    """(exit code, stdout, stderr) of `python -m evaluator ...`."""
    return outcome(main, *arguments)


def managed(monkeypatch, server, seen):
    server.last_words = lambda: "out of memory, said llama-server"

    @contextlib.contextmanager
    def serve(gguf, **settings):
        seen.append((gguf, settings))
        try:
            yield server
        finally:
            seen.append("stopped")

    monkeypatch.setattr("lib.server.serve", serve)


def gguf_in_text(gguf):
    return "--gguf", gguf, "--no-probe", "--format", "text"


def test_model_file_is_served_and_the_server_stopped(tmp_path, monkeypatch):
    gguf, seen = tmp_path / "tiny-f16.gguf", []
    gguf.write_bytes(b"GGUF")
    with serving(perfect_text(cases())) as server:
        managed(monkeypatch, server, seen)
        code, _, err = evaluate(
            "--gguf", gguf, "--no-probe", "--format", "text", "--limit", 2, "--out", tmp_path / "out"
        )
    assert code == 0, err
    assert seen == [(gguf, {"context": 4096, "parallel": 4}), "stopped"]
    settings = read_result(tmp_path / "out")["settings"]
    assert settings["gguf"] == "tiny-f16.gguf" and settings["gguf_bytes"] == 4 and len(settings["gguf_sha256"]) == 64


def test_own_server_is_stopped_when_the_run_fails(tmp_path, monkeypatch):
    gguf, seen = tmp_path / "tiny.gguf", []
    gguf.write_bytes(b"GGUF")
    with serving(lambda path, body, number: (401, b"") if path == "/health" else {}) as server:
        managed(monkeypatch, server, seen)
        code, _, _ = evaluate("--gguf", gguf, "--out", tmp_path / "out")
    assert code == 2 and seen[-1] == "stopped"


def test_death_of_our_own_server_is_told_with_its_last_words(tmp_path, monkeypatch):
    gguf = tmp_path / "tiny.gguf"
    gguf.write_bytes(b"GGUF")
    answer = perfect_text(cases())
    # Every path answers three times, then never again.
    with serving(lambda path, body, number: "close" if number > 2 else answer(path, body, number)) as server:
        managed(monkeypatch, server, [])
        code, _, err = evaluate(
            "--gguf", gguf, "--no-probe", "--format", "text", "--limit", 9, "--out", tmp_path / "out"
        )
    assert code == 2 and "out of memory, said llama-server" in err


def finished_run(folder, *names):
    run = folder / "runs" / "20251122_090000-sft-tiny"
    (run / "gguf").mkdir(parents=True)
    (run / "config.yaml").write_text("method: sft\n")
    (run / "done.json").write_text("{}")
    for name in names:
        (run / "gguf" / name).write_bytes(b"GGUF")
    return run


def test_gguf_of_a_run_is_chosen_by_its_quantization(tmp_path, monkeypatch):
    finished_run(tmp_path, "m-f16.gguf", "m-Q4_K_M.gguf")
    monkeypatch.chdir(tmp_path)
    path, home = run_gguf("", "q4_k_m")
    assert path.name == "m-Q4_K_M.gguf" and home.parts[-2:] == ("20251122_090000-sft-tiny", "eval")


def test_run_without_that_gguf_is_refused_with_the_command_that_makes_it(tmp_path, monkeypatch):
    finished_run(tmp_path, "m-f16.gguf")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CannotRun, match=r"no Q8_0 file \(there: m-f16.gguf\).*make gguf"):
        run_gguf("", "Q8_0")
