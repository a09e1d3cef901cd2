"""One row written by a teacher: its replies read, its calls run in the vault, and every claim of it checked."""

import json
from dataclasses import dataclass, field, replace

from lib.chat import example_from_row
from lib.leak import answer_kind
from lib.overlap import TOO_ALIKE, Index
from lib.synth.phrasing import host_ids, too_long
from lib.synth.plans import effect, goal_holds, run_calls
from lib.synth.prompts import call_schema, first_messages, first_shape, follow_up, reply_schema
from lib.synth.replay import proof_of_run
from lib.synth.replies import check_text, read_reply, with_context
from lib.synth.rows import Reject, check_schema, check_steady, example_row
from lib.synth.seeds import digest, dump_row, generator
from lib.synth.templates import PLACEHOLDER
from lib.synth.visible import invisible_values, plainly, unbacked_claims, unseen_names
from lib.validation import check_row

NEAR_DUPLICATE = 0.7  # Jaccard of word 3-grams with a request there is already
INFORMS = {"shows", "value"}  # goals about a result, not about the vault
UNTOLD = {"commands", "window", "active"}  # changes that goals need not name
ANSWER_KINDS = {"ask": "ask", "cannot": "refuse", "direct": "direct"}


@dataclass(frozen=True)
class Judge:
    """What every row is held against."""

    toolset: object
    informing: frozenset  # tools that may leave the vault as it is although they are no readers
    evaluated: Index = field(repr=False)  # requests that models are evaluated on
    shipped: Index = field(repr=False)  # requests of the datasets
    limit: int = 2600  # characters of a row


@dataclass(frozen=True)
class Taught:
    """A row that held, and its proof."""

    request: str
    row: dict = field(repr=False)
    proof: dict = field(repr=False)


def informing_tools(material) -> frozenset:
    """The tools of which some hand-written intent wants a result alone."""
    return frozenset(
        intent.tool
        for intent in material.intents
        if intent.goal and all(goal.keys() <= INFORMS for goal in intent.goal)
    )


# ------------------------------------------------------------------------------------ the checks


def check_new(request, judge):
    """Refuse a request that the evaluation asks, or that a dataset holds already."""
    found = judge.evaluated.nearest(request)
    if found.likeness >= TOO_ALIKE:
        raise Reject("contaminated", f"{found.likeness:.2f} like {found.other!r}")
    found = judge.shipped.nearest(request)
    if found.likeness >= NEAR_DUPLICATE:
        raise Reject("duplicate", f"{found.likeness:.2f} like {found.other!r}")


def check_calls(request, run):
    """Refuse calls against their schemas, and words or values that the model could not know at that moment."""
    check_schema(run)
    lost = invisible_values(request, run.steps)
    if lost:
        raise Reject("invisible", str(lost[0])[:80])
    for number, step in enumerate(run.steps):
        context = step.arguments["context"]
        name = too_long(context)
        if name:
            raise Reject("too-long", f"{name} of call {number + 1}: {context[name]}")
        for name in context:
            if not name.endswith("Id"):
                check_text(f"{name} of call {number + 1}", context[name])
        told = [name for name in context if name != "sessionDescription" and not name.endswith("Id")]
        said = "\n".join(context[name] for name in told)
        so_far = replace(run, steps=run.steps[:number])
        claims = unbacked_claims(said, request, so_far) + unseen_names(said, request, so_far)
        if claims:
            raise Reject("invisible", f"context of call {number + 1}: {claims[0]}"[:80])


def check_goal(request, goal, run, judge, tool):
    """Refuse a goal that the calls do not bring about, all of it and nothing else."""
    for record in goal:
        for kind, wanted in record.items():
            if kind != "value" and PLACEHOLDER.search(json.dumps(wanted)):
                raise Reject("goal", f"{kind}: only value may speak of a result")
    if not goal_holds(run, goal, {}):
        raise Reject("goal", f"not reached: {json.dumps(goal, ensure_ascii=False)}"[:200])
    if goal_holds(run_calls(run.before, []), goal, {}):
        raise Reject("goal", "true before any call")
    if tool not in [step.tool for step in run.steps if step.ok]:
        raise Reject("goal", f"{tool} is not called, or fails")
    told = [wanted for record in goal for kind, wanted in record.items() if kind in INFORMS]
    reads = judge.toolset.tools[tool].effect == "read"
    changed = effect(run)
    if not changed and not reads and tool not in judge.informing:
        raise Reject("no-effect", f"{tool} leaves the vault as it was")
    if changed.keys() - UNTOLD and len(told) == len(goal):
        raise Reject("goal", "says nothing about what changes")
    if not changed and all(isinstance(text, str) and plainly(text) in plainly(request) for text in told):
        raise Reject("goal", "what is to be shown stands in the request already")


def check_necessary(request, goal, run):
    """Refuse a call without which the goal still holds and every value is still known."""
    calls = [(step.tool, step.arguments) for step in run.steps]
    for number, step in enumerate(run.steps):
        if not step.ok:
            continue  # why it fails is what the next call mends
        shorter = run_calls(run.before, calls[:number] + calls[number + 1 :])
        if goal_holds(shorter, goal, {}) and not invisible_values(request, shorter.steps):
            raise Reject("droppable", f"call {number + 1}, {step.tool}")


def check_readings(request, readings):
    """Refuse to ask back unless two calls fit, do different things, and say what the request does not."""
    outcomes = []
    for run in readings:
        [step] = run.steps
        check_schema(run)
        if not step.ok:
            raise Reject("failed", f"{step.tool}: {step.result.get('error')}")
        if not invisible_values(request, run.steps):
            raise Reject("goal", f"the request says all that this reading needs: {step.key}"[:200])
        outcomes.append((effect(run), {key: value for key, value in step.result.items() if not key.endswith("Id")}))
    if outcomes[0] == outcomes[1]:
        raise Reject("goal", "both readings do the same")


# ---------------------------------------------------------------------------------------- one row


def teach(task, ask, judge) -> Taught:
    """The row of a task; ask(messages, schema) gives the teacher's Answer. Reject says why there is none."""
    messages = first_messages(task, judge.toolset)
    shape = first_shape(task.kind)
    names = (task.tool, *task.related) if task.tool else ()
    schema = reply_schema(shape, call_schema(judge.toolset, names)) if names else reply_schema(shape)
    answer = ask(messages, schema)
    reply = read_reply(answer, shape)
    request = reply["request"].strip()
    check_text("request", request, words=1)
    check_new(request, judge)
    nothing = run_calls(task.expanded.vault, [])
    if shape != "calls":
        if shape == "ask":
            ids, shared = new_ids(task), {}
            calls = [with_context(call, ids, shared, judge.toolset) for call in reply["readings"]]
            check_readings(request, [run_calls(task.expanded.vault, [call]) for call in calls])
        return finish(task, request, nothing, reply["answer"], judge)
    run, messages = act(task, ask, judge, messages, answer, reply)
    closing = ask(messages, reply_schema("closing"))
    return finish(task, request, run, read_reply(closing, "closing")["closing"], judge)


def act(task, ask, judge, messages, answer, reply):
    """(run, messages that ask for the closing): the calls as far as they go, one repair where one fails, all checks."""
    request, ids, shared = reply["request"].strip(), new_ids(task), {}
    calls = [with_context(call, ids, shared, judge.toolset) for call in reply["calls"]]
    run = run_until_failure(task.expanded.vault, calls)
    check_calls(request, run)
    if not run.steps[-1].ok:
        messages = follow_up(messages, answer.text, run, "repair")
        names = (task.tool, *task.related)
        answer = ask(messages, reply_schema("repair", call_schema(judge.toolset, names)))
        more = [with_context(call, ids, shared, judge.toolset) for call in read_reply(answer, "repair")["calls"]]
        tried = [(step.tool, step.arguments) for step in run.steps]
        run = run_until_failure(task.expanded.vault, tried + more, start=len(tried))
        if not run.steps[-1].ok:
            raise Reject("failed", f"{run.steps[-1].tool}, after the repair: {run.steps[-1].result.get('error')}")
        check_calls(request, run)
    elif task.kind == "repair":
        raise Reject("goal", "no call failed, so there is nothing to repair")
    if task.kind == "lookup" and len(run.steps) < 2:
        raise Reject("goal", "nothing was looked up")
    check_goal(request, reply["goal"], run, judge, task.tool)
    check_necessary(request, reply["goal"], run)
    check_steady(run, run_calls(run.before, [(step.tool, step.arguments) for step in run.steps]))
    check_size(request, run, "", judge)
    return run, follow_up(messages, answer.text, run, "closing")


def run_until_failure(vault, calls, start=0):
    """The run of the calls, up to the first from `start` on that fails."""
    run = run_calls(vault, calls)
    failed = next((n for n, step in enumerate(run.steps) if n >= start and not step.ok), None)
    return run if failed is None else run_calls(vault, calls[: failed + 1])


def new_ids(task) -> dict:
    session, workspace = host_ids(task.expanded.vault.now, generator(*task.key, "context"))
    return {"sessionId": session, "workspaceId": workspace}


def check_size(request, run, words, judge):
    """The row, refused when it is too long or its text cannot be read back as it is."""
    try:
        row = example_row(request, run, words or "...", True)
    except ValueError as error:
        raise Reject("schema", f"the words cannot stand in a row: {error}"[:200]) from None
    size = sum(len(turn["content"]) for turn in row["conversations"])
    if size > judge.limit:
        raise Reject("too-long", f"{size} characters")
    return row


def finish(task, request, run, words, judge) -> Taught:
    """The finished row with its proof."""
    words = words.strip()
    check_text("closing", words)
    claims = unbacked_claims(words, request, run) + unseen_names(words, request, run)
    if claims:
        raise Reject("unbacked", str(claims[0])[:80])
    row = check_size(request, run, words, judge)
    example, faults = check_row(row, judge.toolset)
    errors = [fault for fault in faults if fault.severity == "error"]
    if errors:
        raise Reject("schema", f"{errors[0].code}: {errors[0].message}")
    wanted = ANSWER_KINDS.get(task.kind)
    if wanted and answer_kind(example_from_row(row)[0]) != wanted:
        raise Reject("goal", f"this does not {wanted}: {words}"[:200])
    kind = "repair" if any(not step.ok for step in run.steps) else task.kind
    source = {
        "intent": "taught", "kind": kind, "tool": task.tool if run.steps else "", "act": task.act,
        "world": task.expanded.world, "seed": task.expanded.seed,
    }  # fmt: skip
    identity = digest("taught", dump_row(row))
    return Taught(request, row, proof_of_run(identity, row, True, source, run))
