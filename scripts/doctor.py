"""Look for what a run needs, and name the command that gets what is missing.

\b
    python -m scripts.doctor
    python -m scripts.doctor --platform cuda --size 7b --backend lmstudio --json

Exit 1 when something is missing without which a run cannot work.
"""

import json
from dataclasses import asdict

import click

from lib.cli import command, json_option, option

MARKS = {"ok": ("✓", "green"), "note": ("–", "yellow"), "missing": ("✗", "red")}
# backend -> how to start it
SERVERS = {
    "ollama": "ollama serve",
    "lmstudio": "lms server start",
    "vllm": "vllm serve MODEL --enable-auto-tool-choice --tool-call-parser NAME",
}


@command(help=__doc__)
@option("--platform", type=click.Choice(["cuda", "mlx", "cpu"]), default="cpu", help="What is to be trained on.")
@option("--size", type=click.Choice(["tiny", "3b", "7b", "13b", "20b"]), default="tiny", help="Size of the model.")
@option("--backend", type=click.Choice(["llamacpp", *SERVERS, "openai"]), default="llamacpp",
        help="Server that evaluations ask; llamacpp is started by them.")  # fmt: skip
@json_option
@click.pass_context
def main(ctx, platform, size, backend, as_json):
    from lib.needs import all_needs

    needs = all_needs(platform, size) + [server_need(name, backend) for name in SERVERS]
    if as_json:
        click.echo(json.dumps([asdict(need) for need in needs], ensure_ascii=False))
    else:
        for need in needs:
            show(need)
    ctx.exit(1 if any(need.state == "missing" for need in needs) else 0)


def server_need(name, wanted):
    """Whether a model server answers; only the wanted one has to."""
    from evaluator.addresses import server_url
    from evaluator.backends import BACKENDS
    from lib.needs import Need
    from lib.transport import Fault

    url = server_url(name)
    try:
        models = BACKENDS[name](url).models()
    except Fault:
        state = "missing" if name == wanted else "note"
        return Need("Server", state, f"{name}: no answer at {url}", f"For BACKEND={name}: {SERVERS[name]}")
    return Need("Server", "ok", f"{name} at {url}: {len(models)} models")


def show(need):
    """One line a need, and a second one with the way out."""
    mark, colour = MARKS[need.state]
    click.echo(f"{click.style(mark, fg=colour)} {need.name:<10} {need.detail}")
    if need.state != "ok" and need.fix:
        click.echo(f"  {'':<10} {need.fix}")


if __name__ == "__main__":
    main()
