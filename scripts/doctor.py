"""Look for what a run needs, examine the model servers that run, and say in a sentence what is wrong.

\b
    python -m scripts.doctor
    python -m scripts.doctor --platform cuda --size 7b --backend lmstudio --json

Every server that is found gets one canary call with a tool, unless a model would have to be loaded for it.
Exit 1 when something is missing without which a run cannot work.
"""

import json
from dataclasses import asdict

import click

from lib.cli import command, json_option, option

MARKS = {"ok": ("✓", "green"), "note": ("–", "yellow"), "missing": ("✗", "red")}
SERVERS = ("llamacpp", "ollama", "lmstudio", "vllm")


@command(help=__doc__)
@option("--platform", type=click.Choice(["cuda", "mlx", "cpu"]), default="cpu", help="What is to be trained on.")
@option("--size", type=click.Choice(["tiny", "3b", "7b", "13b", "20b"]), default="tiny", help="Size of the model.")
@option("--backend", type=click.Choice([*SERVERS, "openai"]), default="llamacpp",
        help="Server that evaluations ask; llamacpp is started by them.")  # fmt: skip
@option("--model", default="", help="Model on that server that gets the canary. Default: the one it has loaded.")
@option("--url", default="", help="Address of that server, where it is not the usual one.")
@json_option
@click.pass_context
def main(ctx, platform, size, backend, model, url, as_json):
    from lib.needs import all_needs

    needs = [asdict(need) for need in all_needs(platform, size)]
    needs += [as_need(found, backend) for found in servers(backend, model, url)]
    if as_json:
        click.echo(json.dumps(needs, ensure_ascii=False))
    else:
        for need in needs:
            show(need)
    ctx.exit(1 if any(need["state"] == "missing" for need in needs) else 0)


def servers(backend, model, url):
    """What was found at every usual address, and from WSL on the Windows host; asked at once."""
    from concurrent.futures import ThreadPoolExecutor
    from dataclasses import replace

    from evaluator.addresses import USUAL_PORT, server_key, server_url, windows_host
    from evaluator.examine import examine
    from lib.toolset import load_toolset

    toolset = load_toolset()
    kinds = [*SERVERS, *([backend] if backend not in SERVERS and url else [])]
    places = [(kind, server_url(kind, url if kind == backend else "")) for kind in kinds]
    windows = windows_host()
    beyond = [(kind, f"http://{windows}:{USUAL_PORT[kind]}") for kind in SERVERS] if windows else []

    def look(place):
        kind, address = place
        wanted = kind == backend and place in places
        key = server_key(kind) if kind == backend else ""  # an unasked server gets no key of ours
        found = examine(kind, address, toolset, key, model if wanted else "", wanted and kind != "lmstudio")
        if place in places or found.state == "absent":
            return found
        use = f"To evaluate there: EVAL_ARGS='--url {address}'"
        return replace(found, sentence=f"{found.sentence} (on the Windows host)", fix=found.fix or use)

    with ThreadPoolExecutor(len(places + beyond)) as pool:
        found = list(pool.map(look, [*places, *(place for place in beyond if place not in places)]))
    return [one for one in found if one.state != "absent" or (one.backend, one.url) in places]


def as_need(found, backend):
    """A server as a finding like the others, with what a program may want to know besides."""
    # An evaluation starts a llama-server itself, so none that runs can be in its way.
    wanted = found.backend == backend != "llamacpp"
    broken = "missing" if wanted else "note"
    state = {"ok": "ok", "note": "note", "broken": broken, "absent": broken}[found.state]
    fix = f"For BACKEND={found.backend}: {found.fix}" if found.state == "absent" else found.fix
    more = {
        "backend": found.backend,
        "url": found.url,
        "models": [asdict(model) for model in found.models],
        "canary": {"model": found.asked, "seconds": found.seconds, "tokens": found.tokens} if found.asked else None,
    }
    return {"name": "Server", "state": state, "detail": found.sentence, "fix": fix, **more}


def show(need):
    """One line a need, a second one with the way out, and one for each model of a server."""
    mark, colour = MARKS[need["state"]]
    click.echo(f"{click.style(mark, fg=colour)} {need['name']:<10} {need['detail']}")
    if need["fix"] and (need["state"] != "ok" or need.get("models")):
        click.echo(f"  {'':<10} {need['fix']}")
    for model in need.get("models", []):
        click.echo(f"  {'':<10} {model_line(model)}")


def model_line(model):
    """ "qwen3:4b, Q4_K_M, loaded, context 4096, tools"; what the server does not say is left out."""
    tools = {True: "tools", False: "no tools"}.get(model["tools"])
    context = f"context {model['context']}" if model["context"] else None
    loaded = "loaded" if model["loaded"] else None
    return ", ".join(filter(None, [model["name"], model["quantization"], loaded, context, tools]))


if __name__ == "__main__":
    main()
