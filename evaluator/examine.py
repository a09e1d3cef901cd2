"""A running model server examined: what it offers, and by one canary call what is wrong with it, in a sentence."""

import time
from dataclasses import dataclass

from evaluator.addresses import KEY_NAMES
from evaluator.backends import BACKENDS
from evaluator.found_calls import delivered_calls
from evaluator.openai_server import OpenAI
from evaluator.parsing import find_calls
from evaluator.replies import Offered, Reply, Sampling
from evaluator.truncation import context_for, least_tokens, tools_text
from lib.errors import CannotRun
from lib.toolset import Toolset
from lib.transport import Fault

CANARY_TOOL = "vaultManager_listDirectory"
CANARY_TEXT = "List everything in the folder Projects."
CANARY_SECONDS = 90.0  # a model that has to be loaded first takes its time
DESCRIBED = 30  # models whose details are asked for, one question each
ABSENT = ("connection", "timeout")  # faults that mean: nobody is there
STARTS = {
    "llamacpp": "make serve",
    "ollama": "ollama serve",
    "lmstudio": "lms server start",
    "vllm": "vllm serve MODEL --enable-auto-tool-choice --tool-call-parser NAME",
    "openai": "Check --url",
}
FETCHES = {"ollama": "ollama pull qwen3:4b", "lmstudio": "lms get, then lms load MODEL"}
# What to do about calls that the server leaves in the text.
PARSES = {
    "llamacpp": "start llama-server with --jinja and the model's own chat template (--chat-template-file)",
    "ollama": "use a Modelfile whose TEMPLATE holds the model's tool-call syntax, or FORMAT=text",
    "lmstudio": "update LM Studio's engine, or use FORMAT=text",
    "vllm": "start vLLM with the --tool-call-parser of this model",
    "openai": "turn on the server's parser of tool calls, or use FORMAT=text",
}


@dataclass(frozen=True)
class Examined:
    """What was found.

    state: ok, note (usable, with a drawback), broken or absent; tokens: those of the canary's prompt (with the tool,
    without it).
    """

    backend: str
    url: str
    state: str
    sentence: str
    fix: str = ""
    models: tuple[Offered, ...] = ()
    asked: str = ""  # the model that got the canary
    tokens: tuple[int | None, int | None] = (None, None)
    seconds: float | None = None


def examine(kind: str, url: str, toolset: Toolset, key: str = "", wanted: str = "", insist: bool = False) -> Examined:
    """A server of that kind at that address. insist: send the canary also when a model must be loaded for it."""
    backend = BACKENDS[kind](url, wanted, CANARY_SECONDS, key=key)
    try:
        models = [backend.described(model) for model in backend.offered()[:DESCRIBED]]
    except Fault as fault:
        return unreachable(kind, url, fault)
    if not models:
        return Examined(kind, url, "broken", f"{kind} at {url} runs, but has no model", FETCHES.get(kind, ""))
    names = [model.name for model in models]
    name = backend.named(wanted, names) if wanted else names[0]
    found = next((model for model in models if name in (model.name, *model.instances)), Offered(name))
    if not name:
        listed = ", ".join(names[:10])
        return Examined(
            kind, url, "broken", f"{kind} at {url} has no model {wanted}", f"It has: {listed}", tuple(models)
        )
    if found.loaded is False and not (wanted or insist):
        sentence = f"{kind} at {url} has {len(models)} models, none loaded, so no call was tried"
        return Examined(kind, url, "ok", sentence, "Name one: make doctor MODEL=name", tuple(models))
    backend.model = name
    return canary(kind, backend, found, toolset, tuple(models))


def unreachable(kind: str, url: str, fault: Fault) -> Examined:
    """Why a server could not even list its models."""
    if fault.code in ABSENT:
        return Examined(kind, url, "absent", f"{kind}: no answer at {url}", STARTS[kind])
    if fault.code == "unavailable":
        return Examined(kind, url, "broken", f"{kind} at {url} is still loading its model", "Wait, then ask again")
    if fault.code == "unauthorized":
        return Examined(kind, url, "broken", f"{kind} at {url} wants a key", f"Set {KEY_NAMES[kind][0]} in .env")
    said = f"what listens at {url} does not answer like {kind} ({fault.message[:120]})"
    return Examined(kind, url, "broken", said, "Check the address and the port")


def canary(kind: str, backend: OpenAI, model: Offered, toolset: Toolset, models: tuple[Offered, ...]) -> Examined:
    """The same question asked without and with one tool: its tokens and its answer show what the server does."""
    messages = [{"role": "user", "content": CANARY_TEXT}]
    tools = [tool for tool in toolset.openai_tools() if tool["function"]["name"] == CANARY_TOOL]
    started = time.monotonic()
    plain, called = Reply(), Reply()
    fault = None
    try:
        backend.prepare()
        plain = backend.chat(messages, None, Sampling(max_tokens=1))
        called = backend.chat(messages, tools, Sampling(max_tokens=300))
    except Fault as error:
        fault = error
    except CannotRun as error:
        fault = Fault("no-load", error.message)
    finally:
        backend.release()
    if fault is not None:
        state, sentence, fix = faulty(kind, fault)
    else:
        state, sentence, fix = diagnose(kind, plain, called, tools, model.tools)
        if state != "broken":
            state, sentence, fix = room(backend, model, plain, called, tools, toolset) or (state, sentence, fix)
    return Examined(
        kind,
        backend.http.url,
        state,
        f"{backend.model} on {kind}: {sentence}",
        fix,
        models,
        backend.model,
        (called.prompt_tokens, plain.prompt_tokens),
        round(time.monotonic() - started, 2),
    )


def shows_tools(plain: Reply, called: Reply, tools: list[dict]) -> bool | None:
    """Whether the prompt with tools is as much longer as the tools are at least; None when tokens are not counted."""
    if not plain.prompt_tokens or not called.prompt_tokens:
        return None
    return called.prompt_tokens - plain.prompt_tokens >= least_tokens(tools_text(tools)) / 2


def diagnose(kind: str, plain: Reply, called: Reply, tools: list[dict], rendered: bool | None) -> tuple[str, str, str]:
    """(state, sentence, fix) from the two answers. rendered: what the server says of its template, None for nothing."""
    seen = shows_tools(plain, called, tools)
    seen = rendered if seen is None else seen
    delivered, left = delivered_calls(called.tool_calls), find_calls(called.text)
    right = [call for call in delivered if call.name == CANARY_TOOL and call.arguments is not None]
    if right and seen is False:
        return "note", "it calls tools right although its chat template leaves them out: it knows them by heart", ""
    if right:
        return "ok", "it answers with a right tool call", ""
    if delivered:
        name = delivered[0].name
        return "note", f"it calls {name!r} where only {CANARY_TOOL} was offered", "A larger or better trained model"
    if left:
        return (
            "broken",
            f"it writes its calls as text ({left[0].source}), which the server does not parse",
            PARSES[kind],
        )
    if not called.text and (called.reply_tokens or 0) > 3 and called.finish != "length":
        return "broken", "the server swallows what the model generates when tools are sent", PARSES[kind]
    if seen is False:
        way = "Use a model file with a template for tools (make gguf), --chat-template-file, or FORMAT=text"
        return "broken", "its chat template ignores tools: the model never sees them", way
    if called.finish == "length":
        return (
            "note",
            "it was still thinking when its 300 tokens were over",
            "Give it more: EVAL_ARGS='--max-tokens 2048'",
        )
    return "note", "it saw the tool and answered in words", "A model that was trained to call tools, or FORMAT=text"


def faulty(kind: str, fault: Fault) -> tuple[str, str, str]:
    """(state, sentence, fix) for a canary that was not answered."""
    known = {
        "no-tools": ("the server refuses tools for this model", PARSES[kind]),
        "unparsed-reply": ("the server fails on the model's own tool calls (HTTP 500)", PARSES[kind]),
        "context-exceeded": ("its context does not even hold the canary", "Load it with a larger context"),
        "unauthorized": ("the server wants a key", f"Set {KEY_NAMES[kind][0]} in .env"),
        "unavailable": ("the server is still loading or overloaded", "Wait, then ask again"),
        "timeout": (f"it did not answer within {CANARY_SECONDS:g} seconds", "A smaller model, or load it beforehand"),
        "empty": ("the server answers without generating anything", "Load the model again"),
        "no-load": ("it does not load", fault.message),
    }
    sentence, fix = known.get(
        fault.code, (f"it does not answer ({fault.code}: {fault.message[:160]})", "The server's own log says more")
    )
    return "broken", sentence, fix


def room(
    backend: OpenAI, model: Offered, plain: Reply, called: Reply, tools: list[dict], toolset: Toolset
) -> tuple[str, str, str] | None:
    """The finding that the whole toolset does not fit into the context, where the template shows it; else None."""
    window = backend.window or model.context or 0
    if not window or not shows_tools(plain, called, tools):
        return None
    # One tool's tokens are counted exactly; the others are as many for their length.
    one, all_of_them = tools_text(tools), tools_text(toolset.openai_tools())
    needed = (called.prompt_tokens - plain.prompt_tokens) * len(all_of_them) // len(one)
    if needed < window:
        return None
    sentence = f"its context of {window} tokens does not hold the {len(toolset.tools)} tools (about {needed})"
    return "broken", sentence, backend.more_context.format(tokens=context_for(needed // 2, 1024))
