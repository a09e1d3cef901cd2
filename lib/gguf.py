"""GGUF files from a Hugging Face folder: f16, then quants from it, each proved before it gets its name.

gguf/manifest.json says what each file was made from, so that a second run makes only what is missing or outdated.
"""

import difflib
import hashlib
import importlib
import json
import math
import os
import re
import shutil
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from lib import desktop, divergence, gguf_check, llama_cpp
from lib.cli import log
from lib.disk import cache_folder, is_slow, only_one, require_free, sha256
from lib.errors import CannotRun
from lib.gguf_metadata import tokenizer_digest
from lib.jsonl import read_object, write_json
from lib.runs import provenance
from lib.steps import run_step

PREFERRED = "Q4_K_M"  # what the Modelfile names: the smallest of the three
F16 = "f16"
TRAINING_CHARACTERS = 100_000
# A quantization holds its largest tensor in fp32 and what it becomes: an allowance on the safe side, not measured.
MEMORY_RATIO, MEMORY_BYTES = 0.4, 300_000_000


@dataclass(frozen=True)
class Export:
    """What to make: files NAME-<type>.gguf in folder `out`. inputs tell its source apart: equal inputs, equal files.

    tokenizer: the folder whose tokenizer the model was trained with; data: the files that it was trained on.
    """

    name: str
    out: Path
    template: str
    inputs: dict
    source_bytes: int
    tokenizer: Path
    data: tuple[str, ...] = ()
    stops: tuple[str, ...] = ()  # texts at which serving stops

    def path(self, kind: str) -> Path:
        return self.out / f"{self.name}-{kind}.gguf"

    @property
    def log(self) -> Path:
        return self.out / "export.log"


def quant_types(quantize: Path) -> set[str]:
    """The type names that this llama-quantize knows."""
    done = subprocess.run([str(quantize), "--help"], capture_output=True, text=True)
    return set(re.findall(r"^ +\d+ +or +(\w+)", done.stdout + done.stderr, re.MULTILINE))


def check_quants(quants: list[str]) -> list[str]:
    """The quants in llama.cpp's spelling, without f16, each once; CannotRun for a type it does not know."""
    known = quant_types(llama_cpp.tools().quantize)
    spelling = {name.upper(): name for name in known}
    checked = []
    for quant in quants:
        if quant.upper() == "F16":
            continue
        if quant.upper() not in spelling:
            near = difflib.get_close_matches(quant.upper(), spelling, n=1)
            hint = f"Did you mean {near[0]}?" if near else f"Known: {', '.join(sorted(known))}."
            raise CannotRun(f"QUANTS: llama.cpp knows no type '{quant}'. {hint}")
        checked.append(spelling[quant.upper()])
    return list(dict.fromkeys(checked))


def export(job: Export, quants: list[str], make_source, imatrix: bool = False) -> list[dict]:
    """A row for each file (type, path, bytes, made?, kl, top); make_source(folder) gives a Hugging Face folder."""
    quants = check_quants(quants)
    wanted = [F16, *quants]
    job.out.mkdir(parents=True, exist_ok=True)
    with only_one(job.out, lambda: log(f"Another process is writing to {job.out}; waiting.")):
        manifest = read_manifest(job)
        missing = [kind for kind in wanted if not is_current(job, manifest, kind, imatrix)]
        if missing or "parity" not in manifest:
            require_free(job.out, needed_bytes(job, missing), "these GGUF files")
            work = work_folder(job, missing)
            try:
                make(job, manifest, missing, make_source, work, imatrix)
            finally:
                shutil.rmtree(work, ignore_errors=True)
    preferred = PREFERRED if PREFERRED in wanted else wanted[-1]
    made = [job.path(kind) for kind in wanted]
    desktop.write(job.out, job.name, made, job.path(preferred), job.template, job.stops)
    return [
        {"type": kind, "path": str(job.path(kind)), "made": kind in missing} | manifest["files"][job.path(kind).name]
        for kind in wanted
    ]


def make(job: Export, manifest: dict, missing: list[str], make_source, work: Path, imatrix: bool) -> None:
    """Every missing file: f16 and the gate first, then the quants from it."""
    f16 = job.path(F16)
    if F16 in missing:
        manifest["files"] = {}
        f16 = convert(job, make_source(work / job.name), work)
    if F16 in missing or "parity" not in manifest:
        manifest["parity"] = gguf_check.verify_parity(f16, job.template, job.tokenizer)
        write_json(job.out / "manifest.json", manifest)
    if F16 in missing:
        accept(job, manifest, f16, {"type": F16})
    if quants := [kind for kind in missing if kind != F16]:
        make_quants(job, manifest, quants, work, imatrix)


def make_quants(job: Export, manifest: dict, quants: list[str], work: Path, imatrix: bool) -> None:
    """The quants from the f16 file, several at a time, each accepted when it is proved."""
    f16 = native_f16(job, work)
    options = matrix_options(job, f16, work) if imatrix else []
    workers = at_once(f16, len(quants) + 1)
    threads = 1 + math.ceil((os.cpu_count() or 1) / workers)
    lock = threading.Lock()

    def one(quant: str) -> None:
        made = work / job.path(quant).name
        log(f"Quantizing to {made.name}.")
        command = [str(llama_cpp.tools().quantize), *options, str(f16), str(made), quant]
        run_step(command, job.log, growing=made)
        facts = proved(job, made, digest, base.result(), threads)
        with lock:
            accept(job, manifest, made, {"type": quant, "imatrix": imatrix} | facts)

    digest = tokenizer_digest(f16)
    with ThreadPoolExecutor(workers) as pool:
        # What f16 predicts is needed first when a quant has been made: until then both go on side by side.
        base = pool.submit(divergence.write_base, f16, list(job.data), work, job.log, threads)
        list(pool.map(one, quants))


def matrix_options(job: Export, f16: Path, work: Path) -> list[str]:
    """llama-quantize's options for an importance matrix of the training rows."""
    log("Measuring which weights matter on the training rows.")
    training = divergence.rows_text(list(job.data), False, TRAINING_CHARACTERS)
    return ["--imatrix", str(divergence.importance_matrix(f16, training, work, job.log))]


def at_once(f16: Path, wanted: int) -> int:
    """How many steps run side by side: one more than processors, as some wait while programs start; less where memory
    is short."""
    import psutil

    each = MEMORY_RATIO * f16.stat().st_size + MEMORY_BYTES
    return max(1, min(wanted, (os.cpu_count() or 1) + 1, int(psutil.virtual_memory().available / each)))


def needed_bytes(job: Export, kinds: list[str]) -> int:
    """Bytes that these files and the work on them take, for 16-bit weights of job.source_bytes."""
    bits = {kind: int(number[0]) + 1 if (number := re.findall(r"\d+", kind)) else 17 for kind in kinds}
    files = sum(bits.values()) / 16
    merged = 1.1 if F16 in kinds else 0  # gone before the quants are made
    return int(job.source_bytes * max(files, merged + 1.1 if merged else 0))


def read_manifest(job: Export) -> dict:
    """The folder's manifest when it describes the same inputs, otherwise an empty one."""
    try:
        manifest = json.loads((job.out / "manifest.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        manifest = {}
    fresh = {"name": job.name, "inputs": job.inputs, "made": provenance(), "files": {}}
    return manifest if manifest.get("inputs") == job.inputs else fresh


def is_current(job: Export, manifest: dict, kind: str, imatrix: bool = False) -> bool:
    path = job.path(kind)
    entry = manifest["files"].get(path.name)
    if entry is None or (kind != F16 and entry.get("imatrix", False) != imatrix):
        return False
    return path.is_file() and path.stat().st_size == entry["bytes"]


def work_folder(job: Export, missing: list[str]) -> Path:
    """An empty folder to work in: inside `out`, or in the cache when `out` lies on a disk where quantizing crawls."""
    work = job.out / "work"
    if is_slow(job.out):
        place = hashlib.sha256(str(job.out.resolve()).encode()).hexdigest()[:10]  # two runs' files have one name
        work = cache_folder("gguf-work", f"{job.name}-{place}")
        require_free(work, needed_bytes(job, missing), "GGUF work files")
        log(f"{job.out} is on a slow mount: working in {work}, then copying.")
    for left in (work, *job.out.glob("*.part")):  # by a process that was killed
        shutil.rmtree(left, ignore_errors=True) if left.is_dir() else left.unlink(missing_ok=True)
    work.mkdir(parents=True)
    return work


def convert(job: Export, source: Path, work: Path) -> Path:
    """work/NAME-f16.gguf from the Hugging Face folder, which is removed afterwards."""
    target = work / job.path(F16).name
    settle_tokenizer(source, job)
    command = [sys.executable, str(llama_cpp.tools().convert), str(source), "--outtype", F16]
    command += ["--outfile", str(target), "--model-name", job.name]
    log(f"Converting to {target.name}.")
    run_step(command, job.log)
    shutil.rmtree(source)
    return target


def settle_tokenizer(source: Path, job: Export) -> None:
    """Tell the converter what it would guess from the base's tokenizer_config.json: the template, and where blanks go.

    SentencePiece puts a blank before the first text alone, or before each text between special tokens. The base's
    add_prefix_space stands for either, and llama.cpp reads the second: a Mistral's requests would be other tokens.
    """
    path = source / "tokenizer_config.json"
    config = read_object(path, "Download the model again.") | {"chat_template": job.template}
    if read_object(job.tokenizer / "tokenizer.json", "Download the model again.")["model"].get("byte_fallback"):
        tokenizer = importlib.import_module("lib.tokenizer_torch").load_tokenizer(job.tokenizer, None)
        config["add_prefix_space"] = tokenizer.tokenize(f"{tokenizer.eos_token}x")[1].startswith("▁")
    write_json(path, config)


def native_f16(job: Export, work: Path) -> Path:
    """The f16 file where quantizing may read it: not on a slow mount."""
    f16, near = job.path(F16), work / job.path(F16).name
    if near.is_file() or not is_slow(job.out):
        return near if near.is_file() else f16
    log(f"Copying {f16.name} from the slow mount.")
    shutil.copyfile(f16, near)
    return near


def proved(job: Export, made: Path, tokenizer: str, base: Path | None, threads: int | None = None) -> dict:
    """What the proof of a quant found: its divergence from f16; CannotRun when it does not load, generate or agree.

    tokenizer: the digest of f16's; base: f16's predictions, None where this llama.cpp cannot make them.
    """
    if tokenizer_digest(made) != tokenizer:
        raise CannotRun(f"{made}: its tokenizer or chat template is not that of f16. Delete the folder, make it anew.")
    gguf_check.verify(made, threads)
    if base is None:
        return {}
    found = divergence.measure(made, base, job.log, threads)
    return {"kl": found.kl, "kl_error": found.error, "top": found.same_top}


def stays_near(made: Path, out: Path) -> bool:
    """Whether the file lies on the disk that it is meant for."""
    return made.stat().st_dev == out.stat().st_dev


def accept(job: Export, manifest: dict, made: Path, facts: dict) -> None:
    """Give the proved file its name in `out`, and note it in the manifest."""
    target = job.out / made.name
    digest = sha256(made)
    if manifest["files"].pop(target.name, None):  # of another file: after a kill it must not pass for this one's
        write_json(job.out / "manifest.json", manifest)
    if stays_near(made, job.out):
        os.replace(made, target)
    else:
        part = target.with_name(f"{target.name}.part")
        shutil.copyfile(made, part)
        if sha256(part) != digest:
            raise CannotRun(f"{part}: the copy differs from the original. Check the disk of {job.out}.")
        os.replace(part, target)
    manifest["files"][target.name] = facts | {"bytes": target.stat().st_size, "sha256": digest}
    write_json(job.out / "manifest.json", manifest)
