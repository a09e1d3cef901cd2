"""One question to a trained model: by its GGUF, its merged folder or its adapter, with the calls run on request."""

import contextlib
import importlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from evaluator.cases import PROMPTS, Case
from evaluator.conversation import FORMATS, Asking
from evaluator.local_model import LocalModel
from evaluator.replies import Sampling
from evaluator.session import open_backend
from evaluator.settings import Settings, holds_text
from lib.errors import CannotRun
from lib.grammar import text_grammar
from lib.runs import finished_run, read_manifest
from lib.toolset import load_toolset
from lib.transport import Fault
from lib.vault import diff, load_folder, render_diff

KINDS = ("gguf", "merged", "adapter")


@dataclass(frozen=True)
class Source:
    """What answers: kind, its file or folder, and the run it comes from (None for a GGUF of another origin)."""

    kind: str
    place: Path
    run: Path | None

    @property
    def manifest(self) -> dict:
        """The run's config.yaml; of a strange file, what is usual."""
        return read_manifest(self.run) if self.run else {"settings": {"format": "native", "tools_in_prompt": "none"}}


def source_of_file(gguf: Path) -> Source:
    """A GGUF file, with its run when it lies in one."""
    if not gguf.is_file():
        raise CannotRun(f"{gguf}: no such model file.")
    run = gguf.resolve().parent.parent
    return Source("gguf", gguf, run if (run / "config.yaml").is_file() else None)


def source_of_run(name: str | None, kind: str | None, quant: str) -> Source:
    """What of a finished run answers: the kind that was asked for, else its GGUF, else its adapter."""
    run = finished_run(name)
    gguf = next(iter(sorted((run / "gguf").glob(f"*-{quant}.gguf"))), None)
    if kind == "gguf" or (kind is None and gguf):
        if gguf is None:
            raise CannotRun(f"{run} has no {quant} GGUF. Make one: make gguf RUN={run}")
        return Source("gguf", gguf, run)
    if kind == "merged":
        return Source("merged", importlib.import_module("lib.saved_model").saved(run, "merged_16bit"), run)
    if not (run / "final_model" / "adapter_model.safetensors").is_file():
        raise CannotRun(f"{run}: PyTorch cannot load its adapter as it is. Ask the merged model: WITH=merged.")
    return Source("adapter", run / "final_model", run)


@contextlib.contextmanager
def opened(source: Source, form: str) -> Iterator:
    """What a conversation asks: our own llama-server, or the model in this process."""
    if source.kind == "gguf":
        settings = Settings(form=form, gguf=source.place, parallel=1)
        with open_backend(settings) as (backend, _):
            if holds_text(settings):
                backend.grammar = text_grammar(load_toolset())
            yield backend
        return
    answer_torch = importlib.import_module("lib.answer_torch")
    manifest = source.manifest
    if source.kind == "merged":
        model = answer_torch.Model(source.place, None, "cpu" if manifest["platform"] == "mlx" else manifest["platform"])
    else:
        base = importlib.import_module("lib.base_model").fetch(manifest["base"])
        model = answer_torch.Model(base, source.place, manifest["platform"])
    tools = importlib.import_module("lib.training_rows").tools_for(manifest["settings"]["tools_in_prompt"])
    yield LocalModel(model, tools)


def ask(question: str, source: Source, form: str, fixture: dict, sampling: Sampling) -> dict:
    """{"calls", "reply", "prompt_tokens", "reply_tokens", "cut_off"}, and where a fixture is given, on which the calls
    are run until the model is done, their "results" and "changes", the vault's difference as text."""
    case = Case(id="ask", question=question, vault=fixture)
    try:
        with opened(source, form) as backend:
            talk = FORMATS[form](case, Asking(backend, load_toolset(), sampling))
    except Fault as fault:
        raise CannotRun(f"{source.place} gave no answer: {fault.message}.") from fault
    answer = {
        "model": str(source.place),
        "format": form,
        "calls": [{"name": call.name, "arguments": call.arguments, "problem": call.problem} for call in talk.calls],
        "reply": talk.reply if not talk.calls or fixture else "",
        "prompt_tokens": [step["prompt_tokens"] for step in talk.steps],
        "reply_tokens": [step["reply_tokens"] for step in talk.steps],
        "cut_off": talk.cut_off,
    }
    if fixture:
        answer["results"] = [call.result for call in talk.calls]
        answer["changes"] = render_diff(diff(case.fresh_vault(), talk.vault, volatile=False))
    return answer


def fixture_of(name: str) -> dict:
    """The fixture of a vault: one of ours by name, a .json file, or a folder of notes, which is only read."""
    path, ours = Path(name), PROMPTS / "fixtures"
    if path.is_dir():
        return load_folder(path).to_dict()
    source = path if path.suffix == ".json" else ours / f"{name}.json"
    try:
        return json.loads(source.read_text(encoding="utf-8"))
    except FileNotFoundError:
        known = ", ".join(sorted(file.stem for file in ours.glob("*.json")))
        raise CannotRun(f"VAULT={name}: neither a folder, nor a .json file, nor one of: {known}.") from None
    except ValueError as error:
        raise CannotRun(f"{source}: not JSON ({error}).") from error


def shown(answer: dict) -> str:
    """The answer for people: each call with its arguments and result, the closing words, what changed."""
    parts = []
    results = answer.get("results", [])
    for place, call in enumerate(answer["calls"]):
        parts.append(f"call: {call['name']}\n{json.dumps(call['arguments'], ensure_ascii=False, indent=2)}")
        if call["problem"]:
            parts.append(f"problem: {call['problem']}")
        if place < len(results):
            parts.append(f"result: {json.dumps(results[place], ensure_ascii=False)}")
    if answer["reply"].strip():
        parts.append(answer["reply"].strip())
    if answer["cut_off"]:
        parts.append("(The answer was cut off: raise --max-tokens.)")
    if "changes" in answer:
        parts.append(f"In the vault:\n{answer['changes'] or 'nothing changed'}")
    return "\n\n".join(parts) or "(The model said nothing.)"
