"""Publish a run on the Hugging Face Hub: model, card, lineage and GGUF files; or datasets. Resumed by running it again.

\b
    python -m scripts.upload --repo me/model --method lora
    python -m scripts.upload --repo me/model --gguf --dry-run      # list what would go, send nothing
    python -m scripts.upload                                       # at a terminal: asks for run, name, method, GGUF
    python -m scripts.upload --repo me/data --dataset

The token comes from .env or the environment: HF_TOKEN or HF_API_KEY.
"""

import importlib
from pathlib import Path

import click

from lib.cli import command, log
from lib.errors import CannotRun

METHODS = ("merged_16bit", "merged_4bit", "lora")


@command(help=__doc__)
@click.option("--repo", default="", help="OWNER/NAME on the Hub; NAME alone is put under the token's owner.")
@click.option("--run", "run_name", help="A finished run. Default: the newest.")
@click.option("--method", type=click.Choice(METHODS), help="What is published.  [default: merged_16bit]")
@click.option("--gguf/--no-gguf", default=None, help="The run's GGUF files and Modelfile as well.")
@click.option("--dataset", is_flag=True, help="Publish datasets: the shipped ones with their card, or those named.")
@click.argument("data", nargs=-1, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--private", is_flag=True, help="Make a private repository.")
@click.option("--update", is_flag=True, help="Write into a repository that holds something else.")
@click.option("--without-evaluation", is_flag=True, help="Publish a model that nobody has measured.")
@click.option("--dry-run", is_flag=True, help="List what would be sent; nothing is merged or sent.")
def main(repo, run_name, method, gguf, dataset, data, private, update, without_evaluation, dry_run):
    if data and not dataset:
        raise CannotRun("files are named, but a model is to be published. For datasets: --dataset.")
    if not repo:
        repo, run_name, method, gguf = asked(run_name, method, gguf, dataset)
    hub = importlib.import_module("lib.hub")
    publish = importlib.import_module("evaluator.publish")
    hub.check_name(repo)
    if dataset:
        plan = publish.dataset_plan(data)
    else:
        plan = publish.model_plan(run_name, method or METHODS[0], bool(gguf), without_evaluation)
    if dry_run:
        show(publish.ready(plan, repo, merge=False), repo, publish.forecast(plan))
        return
    kind = "dataset" if dataset else "model"
    api = hub.connect()
    repo = hub.whole_name(api, repo)
    items = publish.ready(plan, repo, merge=True)
    hub.prepare(api, repo, kind, private, lambda run, files: update or publish.is_ours(plan, items, run, files))
    commit = hub.send(api, repo, kind, items, f"{plan.name} by toolset-training", log)
    hub.verify(api, repo, kind, items)
    log(f"All {len(items)} files arrived as they are here.")
    click.echo(commit)


def asked(run_name, method, gguf, dataset) -> tuple:
    """(repo, run, method, gguf) from a person at the terminal; CannotRun where nobody can answer."""
    asking = importlib.import_module("lib.asking")
    if not asking.may_ask():
        raise CannotRun("upload needs REPO: make upload REPO=me/model")
    if dataset:
        return asking.ask("Name on the Hub (owner/name)?", "toolset-data"), run_name, method, gguf
    run = Path(run_name) if run_name else asking.ask_run(importlib.import_module("evaluator.scores").in_short)
    method = method or asking.ask("What of it?", METHODS[0], METHODS)
    repo = asking.ask("Name on the Hub (owner/name)?", f"toolset-{'-'.join(run.name.split('-')[1:])}")
    if gguf is None:
        gguf = asking.ask_yes("GGUF files as well?", (run / "gguf").is_dir())
    return repo, str(run), method, gguf


def show(items, repo: str, forecast: str) -> None:
    """What would be sent, on stdout; the card is left to be read."""
    upload = importlib.import_module("lib.upload")
    click.echo(f"{repo} would get {len(items)} files:")
    click.echo("\n".join([*upload.listing(items), *([forecast] if forecast else [])]))
    card = Path("build/upload/README.md")
    importlib.import_module("lib.jsonl").write_text(card, items[0].source.decode())
    log(f"Dry run: nothing was merged or sent. The card to read: {card}")


if __name__ == "__main__":
    main()
