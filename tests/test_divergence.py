"""How far a quant is from f16: read from llama-perplexity's words, over rows that training has not seen."""

import dataclasses

import pytest

from lib import divergence, llama_cpp
from lib.chat import example_from_row
from lib.errors import CannotRun
from lib.held_out import is_held_out
from lib.jsonl import write_rows
from tests.tiny_model import call_row

SAID = """\
Mean    KLD:   0.012345 ±   0.000123
Maximum KLD:   0.9
Same top p: 95.123 ± 1.234 %
"""


@pytest.fixture
def says(monkeypatch):
    """A llama.cpp whose llama-perplexity says what the test wants; the commands that it got."""
    commands, words = [], {"text": SAID}
    programs = dataclasses.make_dataclass("Programs", ["perplexity", "imatrix"])("llama-perplexity", None)
    monkeypatch.setattr(llama_cpp, "tools", lambda: programs)
    monkeypatch.setattr(divergence, "run_step", lambda command, log: commands.append(command) or words["text"])
    return words, commands, programs


def test_divergence_and_agreement_are_read_from_what_it_says(says, tmp_path):
    found = divergence.measure(tmp_path / "x.gguf", tmp_path / "base", tmp_path / "log")
    assert found == divergence.Measured(0.012345, 0.000123, 0.95123)
    assert "--kl-divergence" in says[1][0]
    assert divergence.shown({"kl": found.kl, "kl_error": found.error}) == "0.0123 ± 0.0001"
    assert divergence.shown({"kl": found.kl}) == "0.0123"


@pytest.mark.parametrize("change", [("0.012345 ±", "8.5 ±"), ("0.012345 ±", "nan ±"), ("0.012345 ±", "-nan ±")])
def test_predictions_that_have_nothing_to_do_with_f16_are_refused(says, tmp_path, change):
    says[0]["text"] = SAID.replace(*change)
    with pytest.raises(CannotRun, match="have little to do with those of f16"):
        divergence.measure(tmp_path / "x.gguf", tmp_path / "base", tmp_path / "log")


@pytest.mark.parametrize(
    ("kind", "most"),
    [("IQ2_XXS", 3), ("TQ1_0", 3), ("Q3_K_S", 3), ("Q4_K_M", 1), ("Q8_0", 1), ("MXFP4_MOE", 1), ("BF16", 1)],
)
def test_small_types_may_lie_further_from_f16(says, tmp_path, kind, most):
    gguf = tmp_path / f"my-q2-model-{kind}.gguf"
    for kl, fine in ((most - 0.01, True), (most, False)):
        says[0]["text"] = SAID.replace("0.012345", f"{kl}")
        if fine:
            assert divergence.measure(gguf, tmp_path / "base", tmp_path / "log").kl == kl
        else:
            with pytest.raises(CannotRun, match="Take a larger type"):
                divergence.measure(gguf, tmp_path / "base", tmp_path / "log")


def test_a_program_that_says_nothing_is_refused(says, tmp_path):
    for text, why in (("it crashed", "it does not say why"), ("failed reading log-probs for chunk 1", "disk is full")):
        says[0]["text"] = text
        with pytest.raises(CannotRun, match=f"gave no divergence: .*{why}"):
            divergence.measure(tmp_path / "x.gguf", tmp_path / "base", tmp_path / "log")


def test_without_the_programs_nothing_is_measured_and_no_matrix_made(says, tmp_path):
    says[2].perplexity = None
    assert divergence.write_base(tmp_path / "f16", [], tmp_path, tmp_path / "log") is None
    with pytest.raises(CannotRun, match="IMATRIX=1 needs llama-imatrix"):
        divergence.importance_matrix(tmp_path / "f16", "text", tmp_path, tmp_path / "log")


def test_rows_are_split_as_training_splits_them_and_end_at_the_wanted_length(tmp_path):
    path = tmp_path / "rows.jsonl"
    write_rows(path, [call_row(number) for number in range(300)])
    sides = [divergence.rows_text([str(path)], held_out, 10**6) for held_out in (True, False)]
    for number in range(300):
        request = f"Please add note number {number}."
        out = is_held_out(example_from_row(call_row(number))[0], divergence.HELD_OUT)
        assert (request in sides[0], request in sides[1]) == (out, not out)
    assert "noteKeeper_add" in sides[0] and "<|im_start|>" not in sides[0]
    assert 500 < len(divergence.rows_text([str(path)], False, 500)) < 1500


def test_the_shipped_rows_stand_in_for_files_that_are_gone():
    text = divergence.rows_text(["no/such/file.jsonl"], True, 4000)
    assert len(text) > 4000 and text.count("tool_call:") >= 2


def test_the_shipped_rows_follow_where_a_small_file_holds_out_none(tmp_path):
    path = tmp_path / "rows.jsonl"
    write_rows(path, rows := [call_row(1), call_row(2)])
    assert not any(is_held_out(example_from_row(row)[0], divergence.HELD_OUT) for row in rows)
    held_out, training = (divergence.rows_text([str(path)], side, 4000) for side in (True, False))
    assert held_out == divergence.rows_text([], True, 4000) and len(held_out) > 4000
    assert training.index("number 1.") < training.index("number 2.") < len(training) - 3000
