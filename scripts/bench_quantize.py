"""Measure `make gguf`'s quants with their proof against bare llama-quantize runs of the same types.

\b
    python -m scripts.bench_quantize                       # SmolLM2-135M, then a random model of 1.3 GB
    python -m scripts.bench_quantize --layers 1 --layers 24 --rounds 1
    python -m scripts.bench_quantize --model ~/models/Llama-3.2-1B-Instruct --layers 0

Ours loads each file, generates, and compares its predictions with those of f16. Exit 1 above 1.3 times the bare time,
for files of a gigabyte and more. SmolLM2-135M costs more: its width is no multiple of 256, so that most of its tensors
fall back to types that are made in no time.
"""

import importlib
import json
import shutil
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

import click

from lib.cli import command, log, option

LIMIT = 1.3
BIG = 1_000_000_000  # bytes of f16 from which the limit holds
TYPES = ["Q4_K_M", "Q5_K_M", "Q8_0"]
# Llama-3.2-1B's layers.
SHAPE = {"hidden_size": 2048, "intermediate_size": 8192, "num_attention_heads": 32, "num_key_value_heads": 8}


@command(help=__doc__)
@option("--model", default="SmolLM2-135M-Instruct", help="A Hugging Face folder or Hub id.")
@option(
    "--layers", multiple=True, type=int, default=(0, 9), help="0: the model; else a random one, so many layers deep."
)
@option("--rounds", type=click.IntRange(min=1), default=3, help="Medians of so many, taken in turn.")
@click.pass_context
def main(ctx, model, layers, rounds):
    base = importlib.import_module("lib.base_model").fetch(model)
    code = 0
    for depth in layers:
        with tempfile.TemporaryDirectory(prefix="bench-", dir="build" if Path("build").is_dir() else None) as work:
            job = prepared(random_model(base, depth, Path(work) / "random") if depth else base, Path(work))
            times: dict[str, list[float]] = {"bare": [], "ours": []}
            for number in range(rounds):
                log(f"Round {number + 1} of {rounds}.")
                times["bare"].append(bare(job, Path(work)))
                times["ours"].append(ours(job, Path(work)))
            code = max(code, report(job.path("f16").stat().st_size, times))
    ctx.exit(code)


def report(size: int, times: dict[str, list[float]]) -> int:
    """The medians and their ratio on stdout; 1 when a file to which the limit applies misses it."""
    medians = {name: statistics.median(values) for name, values in times.items()}
    ratio = medians["ours"] / medians["bare"]
    click.echo(f"{'f16 file':<34} {size / 1e9:.2f} GB")
    for name, what in (("bare", "three llama-quantize runs"), ("ours", "three quants, each proved")):
        click.echo(f"{what:<34} {medians[name]:.1f} s   ({', '.join(f'{value:.1f}' for value in times[name])})")
    click.echo(f"{'ratio':<34} {ratio:.2f}   (limit {LIMIT} from {BIG / 1e9:.0f} GB)")
    return 1 if ratio > LIMIT and size >= BIG else 0


def random_model(base: Path, depth: int, folder: Path) -> Path:
    """A random Llama with the tokenizer of base, whose splitting of text llama.cpp must know."""
    settings = json.loads((base / "config.json").read_text(encoding="utf-8"))
    shape = SHAPE | {"vocab_size": settings["vocab_size"], "num_hidden_layers": depth}
    importlib.import_module("lib.random_model_torch").write_random_model(folder, "", shape, dtype="bfloat16")
    for path in [*base.glob("tokenizer*"), *base.glob("chat_template*")]:
        shutil.copyfile(path, folder / path.name)
    return folder


def prepared(folder: Path, work: Path):
    """An export of the folder with its f16 file made."""
    gguf, source = importlib.import_module("lib.gguf"), importlib.import_module("lib.gguf_source")
    template = source.template_of(folder)
    size = source.weight_bytes(folder)
    job = gguf.Export("bench", work / "gguf", template, {}, size, folder)
    job.out.mkdir()
    made = gguf.convert(job, source.with_template(folder, template, work / "source"), work)
    shutil.move(made, job.path("f16"))
    return job


def bare(job, work: Path) -> float:
    """Seconds of llama-quantize alone, one type after the other, on all processors."""
    quantize = importlib.import_module("lib.llama_cpp").tools().quantize
    start = time.perf_counter()
    for kind in TYPES:
        line = [str(quantize), str(job.path("f16")), str(work / f"bare-{kind}.gguf"), kind]
        subprocess.run(line, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    seconds = time.perf_counter() - start
    for kind in TYPES:
        (work / f"bare-{kind}.gguf").unlink()
    return seconds


def ours(job, work: Path) -> float:
    """Seconds of the same files as `make gguf` makes them."""
    target = work / "made"
    target.mkdir()
    start = time.perf_counter()
    importlib.import_module("lib.gguf").make_quants(job, {"files": {}}, TYPES, target, False)
    seconds = time.perf_counter() - start
    shutil.rmtree(target)
    return seconds


if __name__ == "__main__":
    main()
