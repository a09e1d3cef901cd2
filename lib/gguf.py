"""GGUF files from a Hugging Face folder: f16, then quants from it, each loaded and tried before it gets its name.

gguf/manifest.json says what each file was made from, so that a second run makes only what is missing or outdated.
"""

import difflib
import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from lib import desktop, llama_cpp
from lib.cli import log
from lib.disk import cache_folder, is_slow, require_free, sha256
from lib.errors import CannotRun
from lib.gguf_metadata import read_text
from lib.jsonl import write_json
from lib.runs import provenance
from lib.server import serve

DEFAULT_QUANTS = ("Q4_K_M", "Q5_K_M", "Q8_0")
PREFERRED = "Q4_K_M"  # what the Modelfile names: the smallest of the three
F16 = "f16"
TEMPLATE_KEY = "tokenizer.chat_template"
# Bytes of all outputs together for a byte of 16-bit weights: f16 itself and the three default quants.
OUTPUT_RATIO = 2.3
TRIAL_TOKENS = 4


@dataclass(frozen=True)
class Export:
    """What to make: files NAME-<type>.gguf in folder `out`. inputs tell its source apart: equal inputs, equal files."""

    name: str
    out: Path
    template: str
    inputs: dict
    source_bytes: int
    stops: tuple[str, ...] = ()  # texts at which serving stops

    def path(self, kind: str) -> Path:
        return self.out / f"{self.name}-{kind}.gguf"


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


def export(job: Export, quants: list[str], make_source) -> list[dict]:
    """A row for each file (type, path, bytes, made?), all verified; make_source(folder) gives a Hugging Face folder."""
    quants = check_quants(quants)
    manifest = read_manifest(job)
    wanted = [F16, *quants]
    missing = [kind for kind in wanted if not is_current(job, manifest, kind)]
    if missing:
        require_free(job.out, int(OUTPUT_RATIO * job.source_bytes), "these GGUF files")
        job.out.mkdir(parents=True, exist_ok=True)
        work = work_folder(job)
        if F16 in missing:
            manifest["files"] = {}
            convert(job, make_source(work / job.name), work)
            accept(job, manifest, F16, work)
        for quant in quants:
            if quant in missing:
                quantize(job, quant, work)
                accept(job, manifest, quant, work)
        shutil.rmtree(work)
    preferred = PREFERRED if PREFERRED in wanted else wanted[-1]
    made = [job.path(kind) for kind in wanted]
    desktop.write(job.out, job.name, made, job.path(preferred), job.template, job.stops)
    return [
        {"type": kind, "path": str(job.path(kind)), "bytes": job.path(kind).stat().st_size, "made": kind in missing}
        for kind in wanted
    ]


def read_manifest(job: Export) -> dict:
    """The folder's manifest when it describes the same inputs, otherwise an empty one."""
    try:
        manifest = json.loads((job.out / "manifest.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        manifest = {}
    fresh = {"name": job.name, "inputs": job.inputs, "made": provenance(), "files": {}}
    return manifest if manifest.get("inputs") == job.inputs else fresh


def is_current(job: Export, manifest: dict, kind: str) -> bool:
    path = job.path(kind)
    entry = manifest["files"].get(path.name)
    return entry is not None and path.is_file() and path.stat().st_size == entry["bytes"]


def work_folder(job: Export) -> Path:
    """An empty folder to work in: inside `out`, or in the cache when `out` lies on a disk where quantizing crawls."""
    work = job.out / "work"
    if is_slow(job.out):
        work = cache_folder("gguf-work", job.name)
        require_free(work, int(OUTPUT_RATIO * job.source_bytes), "GGUF work files")
        log(f"{job.out} is on a slow mount: working in {work}, then copying.")
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    return work


def convert(job: Export, source: Path, work: Path) -> None:
    """work/NAME-f16.gguf from the Hugging Face folder, which is removed afterwards."""
    target = work / job.path(F16).name
    command = [sys.executable, str(llama_cpp.tools().convert), str(source), "--outtype", F16]
    command += ["--outfile", str(target), "--model-name", job.name]
    log(f"Converting to {target.name}.")
    run_step(command, job, "convert_hf_to_gguf.py")
    shutil.rmtree(source)


def quantize(job: Export, quant: str, work: Path) -> None:
    """work/NAME-QUANT.gguf from the f16 file."""
    f16 = work / job.path(F16).name
    command = [str(llama_cpp.tools().quantize), str(f16 if f16.exists() else job.path(F16))]
    target = work / job.path(quant).name
    log(f"Quantizing to {target.name}.")
    run_step([*command, str(target), quant, str(os.cpu_count() or 1)], job, "llama-quantize")


def run_step(command: list[str], job: Export, what: str) -> None:
    """Run a program with its output in out/export.log; CannotRun with its own words when it fails."""
    with open(job.out / "export.log", "a", encoding="utf-8") as log_file:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        text = done.stdout.decode("utf-8", "replace")
        log_file.write(f"$ {' '.join(command)}\n{text}\n")
    if done.returncode != 0:
        lines = [line for line in text.splitlines() if line.strip()] or ["it said nothing"]
        telling = [line for line in lines if re.search(r"error|not supported|failed|No space", line, re.I)] or lines
        raise CannotRun(f"{what} failed: {telling[-1].strip()[:300]} The whole log: {job.out / 'export.log'}")


def accept(job: Export, manifest: dict, kind: str, work: Path) -> None:
    """Verify the new file, give it its name in `out`, and note it in the manifest."""
    made, target = work / job.path(kind).name, job.path(kind)
    check_template(made, job.template)
    verify(made)
    if made.stat().st_dev == job.out.stat().st_dev:
        os.replace(made, target)
    else:
        part = target.with_name(f"{target.name}.part")
        shutil.copyfile(made, part)
        if sha256(part) != sha256(made):
            raise CannotRun(f"{part}: the copy differs from the original. Check the disk of {job.out}.")
        os.replace(part, target)
    manifest["files"][target.name] = {"type": kind, "bytes": target.stat().st_size, "sha256": sha256(target)}
    write_json(job.out / "manifest.json", manifest)


def check_template(gguf: Path, template: str) -> None:
    """CannotRun unless the file carries exactly the template that the model was trained with."""
    if read_text(gguf, TEMPLATE_KEY) != template:
        raise CannotRun(f"{gguf}: its chat template is not the one trained with. Delete the gguf folder, make it anew.")


def verify(gguf: Path) -> None:
    """Load the file with llama-server and let it generate; CannotRun when it cannot."""
    import requests

    with serve(gguf, context=256, parallel=1) as server:
        body = {"prompt": "Hello", "n_predict": TRIAL_TOKENS, "n_probs": 1, "temperature": 0, "ignore_eos": True}
        try:
            answer = requests.post(f"{server.url}/completion", json=body, timeout=120).json()
        except (requests.RequestException, ValueError) as error:
            raise CannotRun(f"{gguf}: loads, but does not generate.\n{server.last_words()}") from error
        # A model full of NaN still "generates": its probabilities come back as null.
        scores = [token.get("logprob") for token in answer.get("completion_probabilities", [])]
        if not scores or not all(isinstance(score, (int, float)) for score in scores):
            raise CannotRun(f"{gguf}: loads, but generates nothing of worth ({json.dumps(answer)[:200]}).")
