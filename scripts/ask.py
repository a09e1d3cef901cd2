"""Ask a trained model one question and print the call it makes; run the calls in the simulator on request.

\b
    python -m scripts.ask "Make a folder Ideas"                               # the newest finished run
    python -m scripts.ask --run runs/20251122_110000-kto-tiny --with adapter "What is in Parts?"
    python -m scripts.ask --execute --vault my-vault/ "Rename Plan.md to Plans.md"   # read, never written
    python -m scripts.ask --model any-Q4_K_M.gguf --execute --json "Which notes mention pumps?"

With --execute the results are fed back until the model is done, and what changed in the vault is shown at the end.
"""

import importlib
import json
from pathlib import Path

import click

from lib.cli import command, json_option, log, option
from lib.errors import CannotRun


@command(help=__doc__)
@click.argument("question")
@click.option("--run", "run_name", help="A finished run. Default: the newest.")
@click.option("--model", type=click.Path(path_type=Path), help="A GGUF file instead of a run's.")
@click.option(
    "--with",
    "kind",
    type=click.Choice(["gguf", "merged", "adapter"]),
    help="What of the run answers. Default: its GGUF, without one its adapter.",
)
@option("--quant", default="f16", help="Which of the run's GGUF files.")
@click.option("--execute", is_flag=True, help="Run the calls in the simulator and go on with their results.")
@option("--vault", default="spokes", help="What they run on: a fixture's name or .json file, or a folder of notes.")
@click.option("--format", "form", type=click.Choice(["native", "text"]), help="How calls are written. As trained.")
@option("--max-tokens", type=click.IntRange(min=1), default=320, help="Longest answer.")
@option("--temperature", type=click.FloatRange(min=0), default=0.0, help="0 takes the likeliest token.")
@json_option
def main(question, run_name, model, kind, quant, execute, vault, form, max_tokens, temperature, as_json):
    if not question.strip():
        raise CannotRun('the question is empty. Ask something: make ask Q="What is in the folder Parts?"')
    single = importlib.import_module("evaluator.single")
    fixture = single.fixture_of(vault) if execute else {}
    source = single.source_of_file(model) if model else single.source_of_run(run_name, kind, quant)
    form = form or source.manifest["settings"]["format"]
    log(f"Asking {source.place} ({source.kind}, {form}).")
    sampling = importlib.import_module("evaluator.replies").Sampling(temperature=temperature, max_tokens=max_tokens)
    answer = single.ask(question, source, form, fixture, sampling)
    click.echo(json.dumps(answer, ensure_ascii=False, indent=1) if as_json else single.shown(answer))


if __name__ == "__main__":
    main()
