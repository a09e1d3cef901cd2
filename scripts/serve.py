"""Serve a run's GGUF with llama-server until Ctrl-C, and print how to talk to it.

\b
    python -m scripts.serve                                  # the newest finished run
    python -m scripts.serve --run runs/20251122_101500-kto-tiny --quant Q8_0 --port 8080
    python -m scripts.serve --model any.gguf
"""

import importlib
import json
import shlex
from pathlib import Path

import click

from lib.cli import command, log, option
from lib.errors import CannotRun

QUESTION = "What is in the folder Projects?"
REQUEST = Path("build/request.json")


@command(help=__doc__)
@click.option("--run", "run_name", help="A finished run. Default: the newest.")
@click.option("--quant", help="Which of its files, such as Q8_0 or f16. Default: the newest file.")
@click.option("--model", type=click.Path(), help="A GGUF file instead of a run's.")
@option("--port", type=click.IntRange(0, 65535), default=8080, help="0 takes any free port.")
@option("--context", default=4096, help="Tokens that one request may use.")
@option("--parallel", default=1, help="Requests answered at once.")
def main(run_name, quant, model, port, context, parallel):
    runs = importlib.import_module("lib.runs")
    server_module = importlib.import_module("lib.server")
    gguf = Path(model) if model else pick(runs.finished_run(run_name), quant)
    form = form_of(gguf)
    stop = ["--reverse-prompt", importlib.import_module("lib.desktop").HAND_OVER] if form == "text" else []
    with server_module.serve(gguf, context=context, parallel=parallel, port=port, extra=stop) as server:
        click.echo(f"Serving {gguf} at {server.url}/v1")
        click.echo(curl_line(server.url, form))
        log("Ctrl-C stops it.")
        try:
            code = server.process.wait()
        except KeyboardInterrupt:
            log("Stopped.")
            return
        raise CannotRun(f"llama-server ended by itself with code {code}. Its last words:\n{server.last_words()}")


def form_of(gguf: Path) -> str:
    """How the model writes its calls: as its run says; native for a file of another origin."""
    run = gguf.resolve().parent.parent
    if not (run / "config.yaml").is_file():
        return "native"
    return importlib.import_module("lib.runs").read_manifest(run)["settings"]["format"]


def curl_line(url: str, form: str) -> str:
    """A request that works: of a native model with all tools, out of a file because they are long."""
    body = {"messages": [{"role": "user", "content": QUESTION}], "temperature": 0, "max_tokens": 320}
    data = shlex.quote(json.dumps(body))
    if form == "native":
        tools = importlib.import_module("lib.toolset").load_toolset().openai_tools()
        importlib.import_module("lib.jsonl").write_json(REQUEST, body | {"tools": tools})
        data = f"@{shlex.quote(str(REQUEST.absolute()))}"
    return f"curl -s {url}/v1/chat/completions -H 'Content-Type: application/json' -d {data}"


def pick(run: Path, quant: str | None) -> Path:
    """The run's GGUF of that type, or its newest one."""
    files = sorted((run / "gguf").glob("*.gguf"), key=lambda path: path.stat().st_mtime)
    wanted = [path for path in files if quant is None or path.stem.upper().endswith(f"-{quant.upper()}")]
    if not wanted:
        found = f" It has: {', '.join(path.name for path in files)}." if files else ""
        raise CannotRun(f"{run}: holds no {quant + ' ' if quant else ''}GGUF.{found} Make one: make gguf RUN={run}")
    return wanted[-1]


if __name__ == "__main__":
    main()
