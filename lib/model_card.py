"""The card of a published model, in the Hub's format: figures for programs in the front matter, then text for people.

https://huggingface.co/docs/hub/model-cards: the metadata is written by huggingface_hub, `model-index` included.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from lib.base_model import SMOLLM2, sixteen_bit_twin
from lib.cards import FRONT
from lib.desktop import load_ollama

HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")
TAGS = ["function-calling", "tool-use", "agents", "mcp", "obsidian"]
DATA_LICENCE = FRONT["license"]
LIBRARY = {"merged_16bit": "transformers", "merged_4bit": "transformers", "lora": "peft"}
WHAT = {
    "merged_16bit": "the whole model, base and adapter merged, in 16 bits",
    "merged_4bit": "the whole model, base and adapter merged, in 4 bits (bitsandbytes nf4)",
    "lora": "a LoRA adapter, to be loaded on top of its base",
}
TOOLS = {
    "none": "learnt by heart: the prompt does not list them, so a request costs tens of tokens",
    "names": "listed by name in the prompt",
    "full": "listed with their schemas in the prompt",
}
LOADERS = {
    "peft": ("peft", "AutoPeftModelForCausalLM"),
    "transformers": ("transformers", "AutoModelForCausalLM"),
}


@dataclass(frozen=True)
class Card:
    """What a card is made from. trainings: (name, config.yaml, done.json) of each run, the newest first; scores: rows
    of evaluator.scores for the front matter; tables are Markdown; example: a conversation as the model sees it."""

    repo: str
    method: str
    trainings: list[tuple[str, dict, dict]]
    scores: list[dict]
    score_table: str
    quants: list[dict]
    quant_table: str
    example: str
    stops: tuple[str, ...]

    @property
    def run(self) -> dict:
        return self.trainings[0][1]

    @property
    def name(self) -> str:
        return self.repo.split("/")[-1]

    @property
    def text_form(self) -> bool:
        return self.run["settings"]["format"] == "text"


def base_id(manifest: dict) -> str | None:
    """The base model's name on the Hub; None for a folder of one's own."""
    spec = sixteen_bit_twin(str(manifest.get("base", "")))
    spec = SMOLLM2 if spec == SMOLLM2.split("/")[1] else spec
    return spec if HUB_ID.fullmatch(spec) and not Path(spec).exists() else None


def base_name(manifest: dict) -> str:
    """The base as others may read it: its name on the Hub, or its folder's name alone."""
    return base_id(manifest) or Path(str(manifest.get("base"))).name


def model_card(card: Card) -> str:
    """The README.md of the repository."""
    sections = [
        opening(card),
        "## Training\n\n" + training(card),
        "## Evaluation\n\n" + evaluation(card),
        "## Files for llama.cpp, Ollama and LM Studio\n\n" + quants(card) if card.quants else "",
        "## Prompt format\n\n" + prompt_format(card),
        "## How to use it\n\n" + how_to_use(card),
        "## Licences\n\n" + licences(card),
    ]
    return f"---\n{front_matter(card)}\n---\n\n" + "\n\n".join(section for section in sections if section) + "\n"


def front_matter(card: Card) -> str:
    """The YAML for the Hub."""
    from huggingface_hub import ModelCardData

    licence = card.run.get("licence")
    data = ModelCardData(
        model_name=card.name,
        base_model=base_id(card.run),
        library_name=LIBRARY[card.method],
        license=licence,
        language="en",
        pipeline_tag="text-generation",
        tags=[*TAGS, card.trainings[0][1]["method"], *(["gguf"] if card.quants else [])],
        eval_results=eval_results(card.scores) or None,
        run=card.trainings[0][0],
    )
    return data.to_yaml()


def eval_results(scores: list[dict]) -> list:
    """The evaluations as the Hub's `model-index` has them: each rate with its interval and counts beside it."""
    from huggingface_hub import EvalResult

    return [
        EvalResult(
            task_type="text-generation",
            task_name="tool calling",
            dataset_type="toolset-training-prompts",
            dataset_name=f"{', '.join(score['prompts'])} ({score['cases']} prompts), {score['kind']}",
            dataset_config=score["kind"],
            dataset_revision=score["prompts_sha256"],
            metric_type=key,
            metric_name=f"{measure}, {score['kind']}",
            metric_value=round(rate["rate"], 4),
            metric_args={name: rate[name] for name in ("passed", "of")}
            | {name: round(rate[name], 4) for name in ("low", "high")},
        )
        for score in scores
        if score["own"]
        for key, (measure, rate) in score["rates"].items()
        if rate["rate"] is not None
    ]


def opening(card: Card) -> str:
    syntax = "text form `tool_call:`" if card.text_form else "chat template's own tool-call syntax"
    return (
        f"# {card.name}\n\n{base_name(card.run)}, fine-tuned to drive a toolset: 47 tools over an Obsidian vault "
        f"(Claudesidian-MCP), called in the {syntax}. This repository holds {WHAT[card.method]}"
        f"{', and GGUF files' if card.quants else ''}.\n\n"
        f"The tools are {TOOLS[card.run['settings']['tools_in_prompt']]}."
    )


def training(card: Card) -> str:
    """Base, data, recipe and losses of every run on the way, the first one first."""
    digest = card.run.get("base_digest")
    parts = [f"Base: `{base_name(card.run)}`, sha256 of config and samples of its weights `{digest}`."]
    for name, manifest, done in reversed(card.trainings):
        settings = ", ".join(f"{key} {value}" for key, value in manifest["settings"].items())
        lines = [f"**{manifest['method'].upper()}** (`{name}`, size {manifest['size']}, on {manifest['platform']})", ""]
        lines += [f"- data: `{Path(path).name}`, sha256 `{digest}`" for path, digest in manifest["data"].items()]
        losses = {key: value for key, value in done.items() if isinstance(value, int | float)}
        lines.append("- figures: " + ", ".join(f"{key} {value:.5g}" for key, value in losses.items()))
        lines.append(f"- recipe: {settings}")
        packages = ", ".join(f"{key} {value}" for key, value in (manifest.get("versions") or {}).items())
        lines.append(f"- code: commit `{manifest.get('git_commit')}`; {packages}")
        parts.append("\n".join(lines))
    parts.append("`lineage.json` holds this chain and the sha256 of every file here.")
    return "\n\n".join(parts)


def evaluation(card: Card) -> str:
    if not card.scores:
        return "This model has not been evaluated."
    return (
        f"{card.score_table}\n\nIn brackets the rate and its 95 % interval. Right tool: the expected tool was called; "
        "valid call: schema and context rules hold; passes: right arguments, and the right end state of the simulated "
        "vault as well."
    )


def quants(card: Card) -> str:
    return (
        f"{card.quant_table}\n\nKL: how far the distribution of the next token lies from that of f16, in nats a token, "
        "and top: how often the likeliest token is the same; both measured on held-out rows, where a figure is given."
    )


def prompt_format(card: Card) -> str:
    stops = ", ".join(f"`{stop}`" for stop in card.stops)
    host = (
        "The ids in each call's `context` belong to the host program, which puts its own in; the model writes the same "
        "ones every time."
    )
    return (
        f"One exchange as the model was trained on it; it writes what follows the last turn mark.\n\n"
        f"~~~~text\n{card.example.rstrip()}\n~~~~\n\nStop at: {stops}. {host}"
    )


def how_to_use(card: Card) -> str:
    """Ollama, LM Studio, llama.cpp where there are GGUF files; transformers always."""
    parts = []
    if card.quants:
        chosen = next((row for row in card.quants if row["ollama"]), card.quants[-1])
        stop = r" -r $'\nResult:'" if card.text_form else ""  # within JSON a line break is never written so
        parts = [
            f"**Ollama** (the Modelfile carries template and stops)\n\n```\nhf download {card.repo} Modelfile "
            f"{chosen['name']} --local-dir {card.name}\n{load_ollama(card.name, card.name)}\n```",
            f"**LM Studio**\n\n```\nlms get https://huggingface.co/{card.repo}\n```",
            f"**llama.cpp**\n\n```\nllama-server -hf {card.repo}:{chosen['type']} --jinja{stop}\n```",
        ]
    module, loader = LOADERS[LIBRARY[card.method]]
    parts.append(
        f"**transformers**\n\n```python\nfrom {module} import {loader}\nfrom transformers import AutoTokenizer\n\n"
        f'model = {loader}.from_pretrained("{card.repo}")\n'
        f'tokenizer = AutoTokenizer.from_pretrained("{card.repo}")\n'
        'messages = [{"role": "user", "content": "What is in the folder Projects?"}]\n'
        "prompt = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_tensors="
        '"pt", return_dict=True)\nanswer = model.generate(**prompt, max_new_tokens=320)\n'
        'print(tokenizer.decode(answer[0][prompt["input_ids"].shape[1]:]))\n```'
    )
    return "\n\n".join(parts)


def licences(card: Card) -> str:
    licence = card.run.get("licence") or "see its own page"
    return (
        f"- Base: {licence}; it holds for this model too.\n- Training data: {DATA_LICENCE}; it was written for this "
        "purpose, holds nothing of real vaults, and every result in it came from a run of the simulated tools."
    )
