"""Ask a served model to drive the toolset, run its calls in the vault simulator, and report what came of it.

\b
    python -m evaluator --gguf model.gguf                      # starts llama-server itself
    python -m evaluator --run runs/20251122_090000-sft-tiny --prompts full_coverage,tool_combos
    python -m evaluator --backend ollama --model qwen3:4b --format text
    python -m evaluator --backend vllm --prompts mine.jsonl --tools mine.json

Writes journal.jsonl, results.json, report.md, report.html and junit.xml. An evaluation that was stopped, even by
kill -9, is gone on with by the same command. Exit 0: done; 1: below --min-pass, worse than --against, or too much
lost by the server or without an answer (--max-infra); 2: could not run to the end.
"""

import json
from pathlib import Path

import click

from lib.cli import command, json_option, log, option
from lib.env import load_env
from lib.errors import CannotRun

BACKENDS = ("llamacpp", "ollama", "lmstudio", "vllm", "openai")
BUILD = Path("build/eval")
LIMITS = ("min_pass", "max_infra", "against", "max_drop", "max_regressions", "stop_early")


@command(help=__doc__)
@option("--backend", type=click.Choice(BACKENDS), default="llamacpp", help="Kind of server.")
@option("--model", default="", help="Model name on the server, or a .gguf file. Default: the one it has loaded.")
@option("--gguf", type=click.Path(dir_okay=False, path_type=Path), help="Model file to serve here (llamacpp).")
@option("--run", "run_name", default="", help="Training run whose GGUF is served here (llamacpp). Default: the newest.")
@option("--quant", default="f16", help="Which GGUF of the run: f16, Q8_0, Q5_K_M, Q4_K_M.")
@option("--url", default="", help="Address of a running server.")
@option("--host", default="", help="Its host, when --url is not given.")
@option("--port", type=click.IntRange(0, 65535), default=0, help="Its port; 0: the backend's usual one.")
@option("--prompts", default="full_coverage", help="Prompt sets or files, also BFCL's, separated by commas.")
@option(
    "--tools", type=click.Path(path_type=Path), default="configs/tools.json", help="Tools to offer, in any usual form."
)
@option("--answers", type=click.Path(path_type=Path), help="BFCL's answers, if not in possible_answer/ beside them.")
@option("--format", "form", type=click.Choice(["native", "text"]), default="native", help="How calls are written.")
@option("--out", type=click.Path(file_okay=False, path_type=Path), help="Folder for the results.")
@option("--label", default="", help="Name of this model in tables. Default: the model's name.")
@option("--grammar/--no-grammar", default=True, help="Text form on llama-server: hold calls to the schemas.")
@option("--max-steps", type=click.IntRange(min=1), default=6, help="Answers asked for per case, results fed back.")
@option("--parallel", type=click.IntRange(min=0), default=0, help="Requests at once; 0: as many as the server's slots.")
@option("--context", type=click.IntRange(min=0), default=0, help="Tokens per request where it can be set; 0: default.")
@option("--max-tokens", type=click.IntRange(min=1), default=512, help="Longest answer, in tokens.")
@option("--temperature", type=click.FloatRange(min=0), default=0.0, help="0 takes the likeliest token.")
@option("--top-p", type=click.FloatRange(0, 1), default=1.0, help="Share of probability sampled from.")
@option("--seed", type=int, default=0, help="Seed of the sampler; of the first attempt, then one more each.")
@option("--timeout", type=click.FloatRange(min=1), default=120.0, help="Seconds to wait for one answer.")
@option("--repeats", type=click.IntRange(min=1), default=1, help="Attempts per case, each with its own seed.")
@option("--limit", type=click.IntRange(min=1), help="Ask only the first so many cases.")
@option("--probe/--no-probe", default=True, help="First ask whether seed and concurrency change the text.")
@option("--min-pass", type=click.FloatRange(0, 1), help="Exit 1 when a smaller share passes.")
@option("--max-infra", type=click.FloatRange(0, 1), default=0.1, help="Exit 1 when more is lost or not answered.")
@option("--against", type=click.Path(path_type=Path), help="Exit 1 when it is worse than this result beyond noise,")
@option("--max-drop", type=click.FloatRange(0, 1), help="... or its pass rate lower by more,")
@option("--max-regressions", type=click.IntRange(min=0), help="... or more cases passed there and fail here.")
@option("--stop-early", is_flag=True, help="Ask no further once the exit code is settled.")
@option("--resume/--fresh", default=None, help="Go on with --out, or start again. Default: go on where it was stopped.")
@json_option
def main(as_json, out, resume, **options):
    """Parses, runs, prints; the work is in evaluator.session."""
    from evaluator.live import Live
    from evaluator.session import evaluate

    load_env()
    gates = gates_from(options)
    settings, home = settings_from(**options)
    out = out or home
    live = Live(unit="attempt" if options["repeats"] > 1 else "case")
    try:
        result = evaluate(settings, out, resume, live, gates)
    except KeyboardInterrupt:
        log(f"Stopped. What was answered is in {out}/; the same command goes on.")
        raise
    finally:
        live.close()
    show(result, out, as_json)
    raise SystemExit(verdict(result, out, gates))


def gates_from(options: dict):
    """The limits, taken out of the options; the result to compare with is read before anything is asked."""
    from evaluator.gates import Gates
    from evaluator.results import read_result

    limits = {name: options.pop(name) for name in LIMITS}
    if limits["against"]:
        limits["against"] = read_result(limits["against"])
    elif limits["max_drop"] is not None or limits["max_regressions"] is not None:
        raise CannotRun("--max-drop and --max-regressions need a result to compare with: --against RUN.")
    return Gates(**limits)


def settings_from(form, prompts, model, gguf, run_name, quant, **rest):
    """The settings, and the folder for the results when none was named."""
    from evaluator.addresses import server_url
    from evaluator.backends import Sampling
    from evaluator.settings import Settings

    if model.endswith(".gguf"):
        model, gguf = "", gguf or Path(model)
    url, host, port = (rest.pop(name) for name in ("url", "host", "port"))
    address = bool(url or host or port)
    if (gguf or run_name) and (address or rest["backend"] != "llamacpp"):
        raise CannotRun("A model file is served by our own llama-server: leave --backend and the address out.")
    home = BUILD
    if rest["backend"] == "llamacpp" and not address and not gguf:
        gguf, home = run_gguf(run_name, quant)
    if gguf and not gguf.is_file():
        raise CannotRun(f"{gguf}: no such model file.")
    url = "" if gguf else server_url(rest["backend"], url, host, port)
    sampling = Sampling(*(rest.pop(name) for name in ("temperature", "top_p", "seed", "max_tokens")))
    sets = tuple(name.strip() for name in prompts.split(",") if name.strip())
    settings = Settings(form=form, prompts=sets, model=model, gguf=gguf, url=url, sampling=sampling, **rest)
    name = gguf.stem if gguf else f"{settings.backend}-{model or 'model'}".replace("/", "_").replace(":", "_")
    return settings, home / f"{name}-{form}"


def run_gguf(run_name: str, quant: str) -> tuple[Path, Path]:
    """The GGUF of a finished run and the run's folder for evaluations."""
    from lib.runs import finished_run

    run = finished_run(run_name)
    files = sorted((run / "gguf").glob("*.gguf"))
    chosen = [path for path in files if quant.lower() in path.stem.lower()]
    if not chosen:
        there = ", ".join(path.name for path in files) or "none"
        raise CannotRun(f"{run}/gguf has no {quant} file (there: {there}). Make it with: make gguf RUN={run}.")
    return chosen[0], run / "eval"


def show(result: dict, out: Path, as_json: bool) -> None:
    """Summary on stdout, where the files are on stderr."""
    from evaluator.files import listed
    from evaluator.reports import console_tables, outcome_line

    if as_json:
        click.echo(json.dumps({key: value for key, value in result.items() if key != "records"}, ensure_ascii=False))
    else:
        from rich.console import Console

        console = Console(highlight=False)
        for table in console_tables(result):
            console.print(table)
        console.print(outcome_line(result["summary"]))
    log(listed(out))


def verdict(result: dict, out: Path, gates) -> int:
    """The exit code: 2 for an evaluation that did not end, 1 for one that misses a limit, else 0."""
    if result["stopped"]:
        log(f"Error: {result['stopped']}. The same command goes on; the answers are in {out}/.")
        return 2
    if result["settled"]:
        log(f"Stopped early, {result['settled']}.")
    compared = gates.compared(result)
    if compared:
        for warning in compared["warnings"]:
            log(f"Warning: {warning}")
        log(compared["sentence"])
    missed = gates.missed(result, compared)
    for why in missed:
        log(f"Error: {why}")
    return 1 if missed else 0


if __name__ == "__main__":
    main(prog_name="python -m evaluator")
