"""A finished run with a real tiny adapter, an evaluation and GGUF files: what is shipped."""

import hashlib
import json
import shutil
from pathlib import Path

import yaml
from click.testing import CliRunner

from evaluator.statistics import summarize
from lib.desktop import modelfile
from lib.templates import template_for
from scripts.upload import main
from tests.tiny_model import write_tiny_model

SETTINGS = {"learning_rate": 0.002, "epochs": 1.0, "format": "native", "tools_in_prompt": "none"}
TOKENIZER = ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja")


def write_base(folder: Path) -> Path:
    """A random base model, and beside it in `adapter` a LoRA adapter of it with the tokenizer."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import LlamaForCausalLM

    base = write_tiny_model(folder / "base")
    tuned = get_peft_model(LlamaForCausalLM.from_pretrained(base), LoraConfig(r=4, target_modules=["q_proj"]))
    for name, weight in tuned.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight, std=0.1)
    tuned.save_pretrained(folder / "adapter")
    for name in TOKENIZER:
        if (base / name).is_file():
            shutil.copyfile(base / name, folder / "adapter" / name)
    return base


def write_run(home: Path, base: Path, name: str, data: Path, **more) -> Path:
    """runs/<name> in home: config, adapter, losses."""
    run = home / "runs" / name
    run.mkdir(parents=True)
    shutil.copytree(base.parent / "adapter", run / "final_model")
    (run / "final_model" / "README.md").write_text("PEFT's own card")
    facts = {
        "method": name.split("-")[1],
        "size": "tiny",
        "platform": "cpu",
        "base": str(base),
        "base_digest": "b" * 64,
        "licence": "apache-2.0",
        "settings": SETTINGS,
        "data": {str(data): hashlib.sha256(data.read_bytes()).hexdigest()},
        "git_commit": "c" * 40,
        "versions": {"python": "3.12.1", "torch": "2.13.0"},
        **more,
    }
    (run / "config.yaml").write_text(yaml.safe_dump(facts))
    (run / "done.json").write_text(json.dumps({"train_loss": 1.25, "eval_loss": 0.5, "seconds": 60}))
    return run


def write_result(run: Path, gguf: Path, passed: int, of: int = 8, stopped: str = "") -> Path:
    """The evaluation of a model file: the first `passed` of `of` cases pass."""
    records = [
        {
            "id": f"case{number}", "attempt": 1, "set": "full_coverage", "tags": [], "tools": [], "findings": [],
            "outcome": "pass" if number < passed else "model_fail", "right_tool": True, "valid_call": number < of - 1,
            "seconds": 1.0, "steps": [], "question": "?", "calls": [], "reply": "",
        }
        for number in range(of)
    ]  # fmt: skip
    settings = {"format": "native", "prompts": ["full_coverage"], "prompts_sha256": "p" * 64, "gguf": gguf.name}
    if gguf.is_file():
        settings["gguf_sha256"] = hashlib.sha256(gguf.read_bytes()).hexdigest()
    result = {"label": gguf.stem, "settings": settings, "fingerprint": {}, "seconds": 8.0, "stopped": stopped}
    place = run / "eval" / f"{gguf.stem}-native" / "results.json"
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(json.dumps(result | {"summary": summarize(records), "records": records}))
    return place


def write_ggufs(run: Path, kinds=("f16", "Q4_K_M")) -> dict[str, Path]:
    """Files that stand for GGUF files, with manifest and Modelfile: type -> path."""
    folder = run / "gguf"
    folder.mkdir()
    name, files, paths = "toolset-tiny", {}, {}
    for place, kind in enumerate(kinds):
        path = folder / f"{name}-{kind}.gguf"
        path.write_bytes(b"GGUF" + kind.encode() * (3000 // (place + 1)))
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        files[path.name] = {"type": kind, "bytes": path.stat().st_size, "sha256": digest}
        files[path.name] |= {"kl": 0.0123, "top": 0.97} if place else {}
        paths[kind] = path
    adapter = hashlib.sha256((run / "final_model/adapter_model.safetensors").read_bytes()).hexdigest()
    inputs = {"run": run.name, "adapter": adapter}
    made = {"git_commit": "c" * 40, "versions": {"gguf": "0.19.0"}}
    (folder / "manifest.json").write_text(json.dumps({"name": name, "inputs": inputs, "made": made, "files": files}))
    (folder / "Modelfile").write_text(modelfile(name, paths[kinds[-1]].name, template_for(), ("<|im_end|>",)))
    return paths


def write_shipped(home: Path, base: Path) -> Path:
    """A dataset, an SFT run, and a KTO run from it that was evaluated and exported; the KTO run."""
    data = home / "rows.jsonl"
    data.write_text('{"conversations": []}\n')
    sft = write_run(home, base, "20261101_100000-sft-tiny", data)
    run = write_run(home, base, "20261101_110000-kto-tiny", data, sft_run=f"runs/{sft.name}")
    paths = write_ggufs(run)
    write_result(run, paths["f16"], 5)
    write_result(run, paths["Q4_K_M"], 4)
    return run


def upload(*arguments):
    """The finished command."""
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def sent(run, *more, repo="me/model"):
    """The finished upload of a run's adapter, which must have ended well."""
    answer = upload("--repo", repo, "--run", run, "--method", "lora", *more)
    assert answer.exit_code == 0, answer.output
    return answer


def card_of(hub, repo="me/model"):
    """(front matter, text) of the repository's card."""
    _, front, text = hub.content(repo)["README.md"].decode().split("---\n", 2)
    return yaml.safe_load(front), text
