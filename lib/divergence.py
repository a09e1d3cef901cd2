"""How far a quant's answers are from those of the f16 file: Kullback-Leibler divergence and agreement on the likeliest
token, over held-out rows, by llama-perplexity; and the importance matrix that helps a quant to stay near.

llama-perplexity reads plain text, so the rows are given in the text form, without a template's special tokens.
"""

import contextlib
import os
import re
from dataclasses import dataclass
from pathlib import Path

from lib import llama_cpp
from lib.chat import example_from_row, print_text
from lib.cli import log
from lib.errors import CannotRun
from lib.held_out import is_held_out, with_families
from lib.jsonl import read_rows, write_text
from lib.steps import in_plain_words, run_step

# The second half of each chunk counts, 102 tokens: llama-perplexity makes no statistics of fewer than 100. That tells a
# file that holds another model (10 nats with random weights) from a quant (.5 at two bits) by many standard errors.
CONTEXT, CHUNKS = 104, 2
MATRIX_CONTEXT, MATRIX_CHUNKS = 512, 32
HELD_OUT_CHARACTERS = 4_000  # more than the chunks take of any tokenizer
DATA = "datasets/syngen_tools_sft.jsonl"
HELD_OUT = 0.03  # the share that configs/sft.yaml keeps out of training
MEAN = re.compile(r"Mean +KLD: +(-?[\d.]+|-?nan|-?inf) ± +(-?[\d.]+|-?nan|-?inf)")
SAME_TOP = re.compile(r"Same top p: +(-?[\d.]+|-?nan)")
# Nats, below 4 bits and from 4 bits on: beyond it the file does not hold the model that was quantized. 2-bit types of a
# 135M model come to .5, 4-bit ones to .2, a Q8_0 with 5 MB of zeros in it to 1.9.
BROKEN = (3.0, 1.0)
BITS = re.compile(r"Q([1-9])")  # as in Q4_K_M, IQ2_XXS and TQ1_0


@dataclass(frozen=True)
class Measured:
    """kl: mean divergence from f16 in nats a token, with its standard error; same_top: share of tokens with the same
    likeliest one."""

    kl: float
    error: float
    same_top: float


def shown(row: dict) -> str:
    """A file's divergence as people read it; files of an older make have no error."""
    return f"{row['kl']:.4f}" + (f" ± {row['kl_error']:.4f}" if "kl_error" in row else "")


def rows_text(data: list[str], held_out: bool, characters: int) -> str:
    """The first so many characters of the rows that were held out of training, or of those that were not; where the
    files are gone or have too few of them, shipped rows follow."""
    own, found = [path for path in data if Path(path).is_file()], []
    for files in (own, [DATA]):
        rows = [(f"{path}:{line}", example_from_row(row)[0]) for path in files for line, row in read_rows(path)]
        for _, example in with_families(rows):
            if sum(map(len, found)) > characters:
                return "\n\n".join(found)
            if example.label is not False and is_held_out(example, HELD_OUT) == held_out:
                with contextlib.suppress(ValueError):  # a native row may hold what the text form cannot
                    found.append("\n\n".join(print_text(turn.parts) for turn in example.turns))
    return "\n\n".join(found)


def write_base(f16: Path, data: list[str], work: Path, log_path: Path, threads: int | None = None) -> Path | None:
    """A file with the f16 model's predictions on held-out rows; None where this llama.cpp has no llama-perplexity."""
    program = llama_cpp.tools().perplexity
    if program is None:
        log("This llama.cpp has no llama-perplexity: quants are loaded and tried, not compared with f16.")
        return None
    source, base = work / "held-out.txt", work / "base.kld"
    write_text(source, rows_text(data, True, HELD_OUT_CHARACTERS))
    line = [*command(program, f16, threads), "-f", str(source), "--chunks", str(CHUNKS)]
    run_step([*line, "--kl-divergence-base", str(base)], log_path)
    return base


def measure(gguf: Path, base: Path, log_path: Path, threads: int | None = None) -> Measured:
    """The file against the predictions in base; CannotRun when they have nothing to do with each other."""
    program = llama_cpp.tools().perplexity
    said = run_step([*command(program, gguf, threads), "--kl-divergence-base", str(base), "--kl-divergence"], log_path)
    mean, same = MEAN.search(said), SAME_TOP.search(said)
    if not mean or not same:
        why = in_plain_words(said) or "it does not say why."
        raise CannotRun(f"{gguf}: llama-perplexity gave no divergence: {why} The whole log: {log_path}")
    found = Measured(float(mean[1]), float(mean[2]), float(same[1]) / 100)
    if not found.kl < most(gguf):  # NaN is not less, either
        raise CannotRun(
            f"{gguf}: its predictions have little to do with those of f16 (divergence {found.kl:.2f} nats a token, "
            f"{100 * found.same_top:.0f} % the same likeliest token). Take a larger type."
        )
    return found


def most(gguf: Path) -> float:
    """The divergence, nats, at which a file of the type that its name ends in is broken."""
    bits = BITS.search(gguf.stem.rpartition("-")[2])
    return BROKEN[0] if bits and int(bits[1]) < 4 else BROKEN[1]


def command(program: Path, gguf: Path, threads: int | None = None) -> list[str]:
    """llama-perplexity's command line; all chunks in one batch."""
    sizes = ["-c", str(CONTEXT), "-b", str(CONTEXT * CHUNKS), "-t", str(threads or os.cpu_count() or 1)]
    return [str(program), "-m", str(gguf), *sizes]


def importance_matrix(f16: Path, text: str, work: Path, log_path: Path) -> Path:
    """The matrix of how much each weight matters on the text, for llama-quantize."""
    program = llama_cpp.tools().imatrix
    if program is None:
        raise CannotRun("IMATRIX=1 needs llama-imatrix, which this llama.cpp lacks. Unset LLAMA_CPP; it is then built.")
    source, target = work / "training.txt", work / "imatrix.gguf"
    write_text(source, text)
    sizes = ["-c", str(MATRIX_CONTEXT), "--chunks", str(MATRIX_CHUNKS), "-t", str(os.cpu_count() or 1)]
    run_step([str(program), "-m", str(f16), "-f", str(source), "-o", str(target), *sizes], log_path)
    return target
