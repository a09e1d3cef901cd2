"""What desktop programs want beside GGUF files: Ollama's Modelfile and LM Studio's folder, each with how to load it."""

import json
import os
import shutil
from pathlib import Path

from lib import ollama
from lib.jsonl import write_text

PUBLISHER = "toolset-training"
# LM Studio finds models as <publisher>/<model>/<file>.gguf below this folder.
LM_STUDIO = "~/.lmstudio/models"
CHATML = "<|im_start|>"  # a model that begins another turn by itself has said what it had to say
HAND_OVER = "\nResult:"  # in the text form the host goes on here; inside JSON a line break is never written so
CONTEXT = 4096  # tokens; Ollama's own default depends on the machine


def stops_for(folder: Path, template: str, form: str) -> tuple[str, ...]:
    """The texts at which serving stops: a tokenizer folder's end of turn, and in the text form the word to the host."""
    try:
        config = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        config = {}
    end = config.get("eos_token")
    end = end.get("content") if isinstance(end, dict) else end
    stops = [end, CHATML if CHATML in template else None, HAND_OVER if form == "text" else None]
    return tuple(stop for stop in stops if stop)


def modelfile(name: str, gguf_name: str, template: str, stops: tuple[str, ...]) -> str:
    """An Ollama Modelfile. A template that we know stands in it in Go's form, without which Ollama refuses tools."""
    lines = [f"# {load_ollama(name)}", f"FROM ./{gguf_name}"]
    if go := ollama.template_text(template):
        lines.append(f'TEMPLATE """{go}"""')
    lines += [f"PARAMETER stop {quoted(stop)}" for stop in dict.fromkeys((*stops, *ollama.stops(template)))]
    lines += [f"PARAMETER num_ctx {CONTEXT}", "PARAMETER temperature 0"]
    return "\n".join(lines) + "\n"


def quoted(text: str) -> str:
    """A value of a Modelfile: three quotation marks where it goes over lines."""
    return f'"""{text}"""' if "\n" in text or '"' in text else f'"{text}"'


def load_ollama(name: str, folder: Path | None = None) -> str:
    """The line that loads a Modelfile, from its folder or from anywhere."""
    return f"{f'cd {folder} && ' if folder else ''}ollama create {name} -f Modelfile && ollama run {name}"


def load_lm_studio(name: str, folder: Path) -> str:
    return f"cp -r {folder}/lmstudio/models/. {LM_STUDIO}/ && lms load {name}"


def write(out: Path, name: str, files: list[Path], chosen: Path, template: str, stops: tuple[str, ...]) -> None:
    """Modelfile and LM Studio's folder in `out`, for model files that lie there; nothing is copied."""
    write_text(out / "Modelfile", modelfile(name, chosen.name, template, stops))
    home = out / "lmstudio"
    shutil.rmtree(home, ignore_errors=True)
    target = home / "models" / PUBLISHER / name
    target.mkdir(parents=True)
    for path in files:
        link(path, target / path.name)
    write_text(home / "README.txt", f"{load_lm_studio(name, out)}\n")


def link(path: Path, target: Path) -> None:
    """The same file under another name; a symbolic link where the disk has no hard ones."""
    try:
        os.link(path, target)
    except OSError:
        target.symlink_to(path.resolve())
