"""Calls and drafts of mistakes, and the faults that the schema check must find."""

import difflib
from dataclasses import dataclass, replace

from lib.synth.phrasing import CONTEXT_WORDS
from lib.synth.templates import fill_text
from lib.toolset import load_toolset, without_context
from lib.vault import execute

MENDED_SHARE, OVERLOOKED_SHARE = 0.45, 0.35  # of faults, how many are mended by the next call, or passed over
SUCCESS = "success"
UNKNOWN_PARAMETERS = {"force": True, "recursiveMode": "all", "encoding": "utf-8", "confirm": True, "dryRun": False}


@dataclass(frozen=True)
class Made:
    """A call to make: tool, arguments with context, and the name its result goes by."""

    tool: str
    arguments: dict
    name: str = ""


@dataclass(frozen=True)
class Draft:
    """A suspected mistake: the calls to make, and the answer if it is part of the mistake."""

    family: str
    reason: str
    calls: tuple
    answer: str | None = None
    plan: tuple | None = None  # run instead of calls when given
    closes: tuple = ()
    claims: str = ""  # a tool that the answer says was used though it was not, or SUCCESS


def made_calls(candidate):
    """The calls of a positive, ready to be changed."""
    names = [planned.get("as", "") for planned in candidate.plan]
    steps = candidate.run.steps
    return tuple(Made(step.tool, step.arguments, name) for step, name in zip(steps, names, strict=True))


def with_argument(call, key, value):
    return Made(call.tool, {**call.arguments, key: value}, call.name)


def with_context(call, context):
    return Made(call.tool, {**call.arguments, "context": context}, call.name)


def replaced(calls, number, call):
    return calls[:number] + (call,) + calls[number + 1 :]


def odd_ids(context, rng):
    """(code, field, id) of ids that look right at first sight."""
    session, workspace = context["sessionId"], context["workspaceId"]
    stamp, own = session.split("_")[1:]
    yield (
        "bad-session-id",
        "sessionId",
        rng.choice(
            [
                session.replace("_", "-"),
                f"Session_{stamp}_{own}",
                f"session_{stamp}_{own.upper()}",
                f"session_{own}_{stamp}",
            ]
        ),
    )
    stamp, own = workspace.split("_")[1:]
    yield (
        "bad-workspace-id",
        "workspaceId",
        rng.choice(
            [workspace.replace("_", "-"), f"WS_{stamp}_{own}", f"ws_{own}_{stamp}", f"ws_{stamp}-{own}", "default"]
        ),
    )


def schema_faults(call, rng):
    """(code, call) pairs, each breaking one rule of the toolset or of the context object."""
    context = call.arguments["context"]
    rest = without_context(call.arguments)
    parameters = load_toolset().tools[call.tool].parameters
    properties = parameters["properties"]
    required = [key for key in parameters.get("required", ()) if key != "context" and key in rest]
    if required:
        gone = rng.choice(required)
        left = {key: value for key, value in call.arguments.items() if key != gone}
        yield "missing-required", Made(call.tool, left, call.name)
        other = difflib.get_close_matches(gone, ["file", "noteId", "text", "target", "name", "folder", "q"], 1, 0)[0]
        renamed = {other if key == gone else key: value for key, value in call.arguments.items()}
        if other not in properties:
            yield "unknown-parameter", Made(call.tool, renamed, call.name)
    extra = rng.choice([key for key in UNKNOWN_PARAMETERS if key not in properties])
    yield "unknown-parameter", with_argument(call, extra, UNKNOWN_PARAMETERS[extra])
    for key in rest:
        schema = properties.get(key, {})
        if schema.get("type") == "string" and "enum" not in schema:
            yield "wrong-type", with_argument(call, key, [rest[key]])
        if schema.get("type") == "array":
            yield "wrong-type", with_argument(call, key, ", ".join(map(str, rest[key])))
        if schema.get("type") in ("number", "integer"):
            yield "wrong-type", with_argument(call, key, str(rest[key]))
            yield "out-of-range", with_argument(call, key, -3)
        if schema.get("type") == "boolean":
            yield "wrong-type", with_argument(call, key, "yes")
        if "enum" in schema:
            yield "bad-enum", with_argument(call, key, f"{rest[key]}-mode")
        if schema.get("format") == "vault-path" and rest[key]:
            yield "path-escape", with_argument(call, key, f"../{rest[key]}")
    if rest:
        yield "context-not-first", Made(call.tool, {**rest, "context": context}, call.name)
    missing = rng.choice([key for key in context if not key.endswith("Id")])
    yield "context-missing-field", with_context(call, {key: context[key] for key in context if key != missing})
    yield "context-wrong-type", with_context(call, {**context, missing: None})
    yield "empty-memory", with_context(call, {**context, "sessionMemory": ""})
    for code, field, odd in odd_ids(context, rng):
        yield code, with_context(call, {**context, field: odd})
    yield "context-missing", Made(call.tool, rest, call.name)


def unknown_tool(call, rng):
    """The call under a tool name that sounds right and does not exist."""
    agent, _, mode = call.tool.partition("_")
    known = load_toolset()
    verbs = {"append": "add", "create": "make", "list": "show", "delete": "remove", "read": "get", "update": "edit"}
    names = [f"{agent}_{mode.replace(old, new, 1)}" for old, new in verbs.items() if mode.startswith(old)]
    names += [f"{other}_{mode}" for other in known.agents if other != agent] + [f"{agent}_{mode}s"]
    names = [name for name in names if mode and name not in known.tools]
    return Made(rng.choice(names), call.arguments, call.name) if names else None


def after_failure(call, failed, vault, words, rng):
    """The call with a memory of the failed one before it, in the words of the vault."""
    error = execute(vault.clone(), failed.tool, failed.arguments).get("error", "")
    scope = {"mode": failed.tool.split("_")[-1], "result": {"error": error}}
    told = [fill_text(text, scope) for text in (words.get("history") or {}).get("failed", ())]
    told = [text for text in told if len(text.split()) <= CONTEXT_WORDS]
    refused = [f"{scope['mode']} was refused as it stood", f"First {scope['mode']} had a fault in its arguments"]
    return with_context(call, {**call.arguments["context"], "sessionMemory": rng.choice(told or refused)})


def carried_on(calls, number, fault, candidate, words, rng):
    """The calls with a fault in one of them, and how it goes on: mended, overlooked, or left at that.

    A fault always fails. Rows that stop there would be told by their last result, so in most the work goes on.
    """
    before, after = calls[:number], calls[number + 1 :]
    if after and not candidate.run.steps[number].ok:  # the real failure makes room for the fault
        return (*before, fault, after_failure(after[0], fault, candidate.run.before, words, rng), *after[1:])
    draw = rng.random()
    if draw < MENDED_SHARE:
        again = after_failure(calls[number], fault, candidate.run.before, words, rng)
        return (*before, replace(fault, name=""), again, *after)
    if after and draw < MENDED_SHARE + OVERLOOKED_SHARE:
        return (*before, fault, *after)
    return (*before, fault)


def schema_drafts(candidate, words, rng):
    """Faults that the schema check must find, in any call of the plan."""
    calls = made_calls(candidate)
    if not calls:
        return
    number = rng.randrange(len(calls))
    faults = list(schema_faults(calls[number], rng))
    renamed = unknown_tool(calls[number], rng)
    if renamed:
        faults.append(("unknown-tool", renamed))
    for code, fault in rng.sample(faults, len(faults)):
        yield Draft("schema", code, carried_on(calls, number, fault, candidate, words, rng))
