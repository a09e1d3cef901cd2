"""An upload from its first check to the list of its files: which run or datasets, with what figures, in what words."""

import importlib
from dataclasses import dataclass, field
from pathlib import Path

from evaluator.reports import markdown_table
from evaluator.scores import score_table, scores_of
from lib import lineage, upload
from lib.cards import figures, front_matter, identity
from lib.chat import Call, Example, Result, Text, Turn
from lib.desktop import stops_for
from lib.disk import size_text
from lib.errors import CannotRun
from lib.gguf_source import of_run, template_of
from lib.hub import Item
from lib.model_card import Card, base_name, model_card
from lib.rendering import HOST_IDS, messages_of, template
from lib.runs import finished_run, read_done, read_manifest
from lib.saved_model import saved
from lib.toolset import load_toolset

QUANT_HEAD = ("file", "type", "size", "KL", "same top", "sha256")
DATASETS = Path("datasets")
QUESTION = "What is in the folder Projects?"
CALL = ("vaultManager_listDirectory", {"path": "Projects"})


@dataclass(frozen=True)
class Plan:
    """What is to be published: a run by a method, or files of data; `name` is noted in the repository."""

    name: str
    run: Path | None = None
    method: str = ""
    quants: list[dict] = field(default_factory=list)
    scores: list[dict] = field(default_factory=list)
    data: tuple[Path, ...] = ()


def model_plan(run_name: str | None, method: str, gguf: bool, without_evaluation: bool) -> Plan:
    """The plan for a finished run; CannotRun for one that was not measured, unless that is wanted."""
    run = finished_run(run_name)
    scores = scores_of(run)
    if not any(score["own"] for score in scores) and not without_evaluation:
        raise CannotRun(
            f"{run} has not been evaluated, so its card would have no figures. Evaluate it: make ladder RUN={run}; or "
            'say that you mean it: UPLOAD_ARGS="--without-evaluation"'
        )
    return Plan(run.name, run, method, upload.quants_of(run) if gguf else [], scores)


def dataset_plan(data: tuple[Path, ...]) -> Plan:
    """The shipped datasets with their proofs, or the named files."""
    paths = data or tuple(path for path in sorted(DATASETS.glob("*.jsonl")))
    if not paths:
        raise CannotRun(f"{DATASETS}/ holds no datasets. Make them: make datasets")
    return Plan("datasets", data=paths)


def ready(plan: Plan, repo: str, merge: bool) -> list[Item]:
    """The items to send, checked; merge: make the merged folder now (otherwise what is there is listed)."""
    if plan.run is None:
        upload.check(list(plan.data), folders=False)
        links = [lineage.chain(path)[0] for path in plan.data]
        return upload.items_of(list(plan.data), dataset_card(plan.data, repo), links)
    paths = model_paths(plan, merge)
    upload.check(paths)
    card = card_of(plan, repo)
    return upload.items_of(paths, model_card(card), lineage.of_run(plan.run), base_name(card.run))


def is_ours(plan: Plan, items: list[Item], run: str | None, files: set[str]) -> bool:
    """Whether a repository with these files, whose card names that run, is one that the plan may write into."""
    return run == plan.name if run else files <= {item.path for item in items}


def forecast(plan: Plan) -> str:
    """What a merge still to be made would add to the list; "" when nothing is to be merged."""
    if plan.run is None or plan.method == "lora" or (plan.run / plan.method).is_dir():
        return ""
    size = of_run(plan.run)[0].source_bytes
    return f"{plan.run / plan.method} is not made yet; its weights, {size_text(size)} in 16 bits, come on top."


def model_paths(plan: Plan, merge: bool) -> list[Path]:
    """The files of the saved model, then GGUF files and Modelfile."""
    folder = plan.run / ("final_model" if plan.method == "lora" else plan.method)
    if merge:
        folder = saved(plan.run, plan.method)
    paths = upload.files_of(folder) if folder.is_dir() else []
    if not plan.quants:
        return paths
    modelfile = plan.run / "gguf" / "Modelfile"
    return [*paths, *(row["path"] for row in plan.quants), *([modelfile] if modelfile.is_file() else [])]


def card_of(plan: Plan, repo: str) -> Card:
    """All that the model's card tells."""
    trainings, run = [], plan.run
    while run:
        manifest = read_manifest(run)
        trainings.append((run.name, manifest, read_done(run) if (run / "done.json").is_file() else {}))
        before = manifest.get("sft_run")
        run = run.parent / Path(before).name if before and (run.parent / Path(before).name).is_dir() else None
    folder, form = plan.run / "final_model", trainings[0][1]["settings"]["format"]
    return Card(
        repo=repo,
        method=plan.method,
        trainings=trainings,
        scores=plan.scores,
        score_table=score_table(plan.scores),
        quants=plan.quants,
        quant_table=quant_table(plan.quants),
        example=example(folder, trainings[0][1]["settings"]),
        stops=tuple(stop.strip() for stop in stops_for(folder, template_of(folder), form)),
    )


def example(folder: Path, settings: dict) -> str:
    """One exchange through the run's own template, tools shown as it shows them."""
    name, arguments = CALL
    fields = load_toolset().tools[name].parameters["properties"]["context"]["properties"]
    context = {field: HOST_IDS.get(field, "...") for field in fields}
    answer = (Call(name, {"context": context, **arguments}), Result({"success": True}), Text("It is empty."))
    turns = (Turn("user", (Text(QUESTION),)), Turn("assistant", answer))
    tokenizer = importlib.import_module("lib.tokenizer_torch").load_tokenizer(folder, None)
    tools = load_toolset().openai_tools()[:1] if settings["tools_in_prompt"] != "none" else None
    return template(tokenizer, messages_of(Example(turns), settings["format"]), tools)


def quant_table(quants: list[dict]) -> str:
    """Markdown: a line for each GGUF file."""

    def shown(value, text: str) -> str:
        return "–" if value is None else text.format(value)

    rows = [
        (
            f"`{row['name']}`",
            row["type"],
            size_text(row["bytes"]),
            shown(row.get("kl"), "{:.4f}"),
            shown(row.get("top"), "{:.1%}"),
            shown(row.get("sha256"), "`{:.16}…`"),
        )
        for row in quants
    ]
    return markdown_table(QUANT_HEAD, rows)


def dataset_card(data: tuple[Path, ...], repo: str) -> str:
    """The shipped card for the shipped files; for others one that says what can be counted."""
    shipped = {path.resolve() for path in DATASETS.glob("*.jsonl")}
    if {path.resolve() for path in data} == shipped:
        return (DATASETS / "README.md").read_text(encoding="utf-8")
    tools = load_toolset().tools
    counted = {path.name: figures(path, tools) for path in data}
    rows = [
        (f"`{path.name}`", *(f"{counted[path.name][key]:,}" for key in ("rows", "true", "false", "calls", "tools")),
         f"`{identity(path)['sha256']}`")
        for path in data
    ]  # fmt: skip
    front = front_matter(sum(each["rows"] for each in counted.values()), {path.stem: path.name for path in data})
    table = markdown_table(("file", "rows", "true", "false", "calls", "tools", "sha256"), rows)
    return f"{front}# {repo.split('/')[-1]}\n\nRows for tool calling, made with toolset-training.\n\n{table}\n"
