"""Programs as steps of an export: their refusals in plain words, and none that stands still unnoticed."""

import os
import sys
import time

import pytest

from lib.errors import CannotRun
from lib.steps import in_plain_words, run_step


def python(code):
    return [sys.executable, "-c", code]


def test_a_step_gives_what_it_said_and_the_log_keeps_it(tmp_path):
    log = tmp_path / "export.log"
    assert run_step(python("print('one')"), log) == run_step(python("print('one')"), log) == "one\n"
    assert log.read_text().count("one\n") == 4 - log.read_text().count("print('one')")


def test_a_failed_step_is_told_in_its_own_words(tmp_path):
    code = "print('INFO: loading'); print('ERROR: cannot map tensor x'); print('bye'); raise SystemExit(1)"
    with pytest.raises(CannotRun, match="-c failed: ERROR: cannot map tensor x The whole log: .*export.log"):
        run_step(python(code), tmp_path / "export.log")
    assert "bye" in (tmp_path / "export.log").read_text()


@pytest.mark.parametrize(
    "said, meaning",
    [
        ("ERROR:hf-to-gguf:Model FooForCausalLM is not supported", "FooForCausalLM: this llama.cpp does not know"),
        (
            "NotImplementedError: Architecture 'FooForCausalLM' not supported!",
            "FooForCausalLM: this llama.cpp does not",
        ),
        ("error loading model: unknown model architecture: 'foo'", "foo: this llama.cpp does not know"),
        (
            "NotImplementedError: BPE pre-tokenizer was not recognized - update",
            "does not know how this base splits text",
        ),
        ("tensor 'x' data is not within the file bounds, model is corrupted or incomplete", "cut short or damaged"),
        ("OSError: [Errno 28] No space left on device", "the disk is full"),
        ("OSError: 884736 requested and 116784 written", "the disk is full"),  # numpy's words
        ("failed to quantize: basic_ios::clear: iostream error", "the disk is full"),
        ("ERROR: this quantization requires an importance matrix!", "IMATRIX=1"),
        ("ggml_backend_cpu_buffer: failed to allocate buffer", "the memory is too small"),
    ],
)
def test_known_refusals_are_told_in_plain_words(said, meaning, tmp_path):
    assert meaning in in_plain_words(f"INFO: loading\n{said}\n")
    with pytest.raises(CannotRun, match=meaning):
        run_step(python(f"print({said!r}); raise SystemExit(1)"), tmp_path / "log")


def test_a_log_that_cannot_be_written_does_not_hide_the_reason(tmp_path):
    code = "print('OSError: [Errno 28] No space left on device'); raise SystemExit(1)"
    with pytest.raises(CannotRun, match="the disk is full"):
        run_step(python(code), tmp_path)  # a folder


@pytest.mark.skipif(os.name == "nt", reason="no signals")
@pytest.mark.parametrize("name, why", [("KILL", "SIGKILL, most often because the memory"), ("ABRT", "SIGABRT. The")])
def test_a_step_that_a_signal_ended_says_so(name, why, tmp_path):
    code = f"import os, signal; print('tensor 7', flush=True); os.kill(os.getpid(), signal.SIG{name})"
    with pytest.raises(CannotRun, match=f"-c failed: it was ended by {why}"):
        run_step(python(code), tmp_path / "log")


def test_an_unknown_refusal_has_no_meaning():
    assert in_plain_words("all is well, but not here") is None


def test_a_step_whose_file_does_not_grow_is_stopped_and_named(tmp_path):
    target, started = tmp_path / "x-Q4_K_M.gguf", time.monotonic()
    code = f"open({str(target)!r}, 'wb').write(bytes(2_000_000)); import time; time.sleep(60)"
    with pytest.raises(CannotRun, match="x-Q4_K_M.gguf has not grown beyond 2 MB for 0 s. On a Windows"):
        run_step(python(code), tmp_path / "log", growing=target, patience=0.4)
    assert time.monotonic() - started < 30


def test_a_step_whose_file_grows_may_take_its_time(tmp_path):
    target = tmp_path / "x.gguf"
    code = f"import time\nfor n in range(8): open({str(target)!r}, 'ab').write(b'x'); time.sleep(.1)"
    assert run_step(python(code), tmp_path / "log", growing=target, patience=0.5) == ""


def test_a_step_ends_with_us(tmp_path, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("lib.steps.watched", interrupted)
    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        run_step(python("import time; time.sleep(60)"), tmp_path / "log")
    assert time.monotonic() - started < 30
