"""What a teacher is told and asked: the vault, the tools, the rules, and the JSON it is to answer with."""

import json
from collections import Counter
from dataclasses import asdict
from datetime import UTC, datetime

from lib.chat import dump_arguments
from lib.synth.plans import RECORDS

MOST_CALLS = 6
ACT_STYLES = {
    "order": "an order: it starts with what is to be done",
    "question": "a question that ends in a question mark",
    "need": "a statement of what is needed or missing; the order is only implied",
    "short": "as few words as possible, a fragment without a greeting",
    "polite": "a polite request, with please or could you",
    "me": "from their own situation: I am about to, I cannot find, I need",
    "messy": "typed in haste: lower case, little punctuation, a slip or an abbreviation",
}
KIND_TASKS = {
    "act": "The request says everything, so the assistant can call {tool} at once. Use one call where one does it.",
    "lookup": "The request leaves out something {tool} needs (a path, an id, a text, a number), which the assistant "
    "has to look up first. The calls are the look-up and then {tool}; what the later call holds stands in the request "
    "or in the result of the look-up.",
    "repair": "The request holds an honest mistake about the vault (a path or name that is slightly wrong, a text that "
    "is not there), so that the first call really fails or is refused by the vault. Write only that first, failing "
    "call, made just as the request says it. Its result comes back to you; then you write the calls that reach the "
    "goal, {tool} among them. The goal is what holds after those.",
    "ask": "The request wants {tool} but fits two different calls, or leaves out what cannot be looked up, so the "
    "right answer is to ask back. readings are two calls it could mean: both would succeed and do different things, "
    "and each holds something that the request does not say. answer is the question to the user; it names nothing of "
    "the vault that the request did not name.",
    "cannot": "The request is reasonable, but none of the tools listed can do it. answer says so plainly, says what "
    "is missing, and claims nothing about what the vault holds.",
    "direct": "The request needs no tool and nothing from the vault: common knowledge or how such a vault is used. "
    "answer gives it in one or two sentences, without refusing and without a question.",
}
RULES = """\
You write examples that teach an assistant to look after a vault of notes with tools. You write what the user says
and what the assistant does. A program runs your calls in the vault shown to you and keeps only what holds.

The assistant does not see the vault, only the request and the results of its calls. So:
- Whatever a call needs is said in the request or shown by the result of an earlier call, word for word: paths (a
  folder and a title will do), names, texts to write, numbers, ids. Ids are not guessed: list first, or let the user
  give the id.
- The request is what this person would write on a working day, concrete and complete, 4 to 40 words. It names no
  tools and no parameters. It does not ask for more than the calls do.
- Each call is needed, none changes what was not asked for, and optional arguments are left out unless they matter.
- Arguments keep to the schemas. Text is joined to a note just as it stands: start it with a line break to add a line
  at the end, end it with one to add a line on top.
- context is the first argument of every call and holds five texts of 3 to 12 words, specific to this row:
  sessionDescription (what the user and the assistant work on), sessionMemory (what is known by now: at first from the
  request, later from results), toolContext (why this tool now), primaryGoal (what the user wants), subgoal (what this
  call does for it). They say only what the assistant can know at that moment. The program adds the ids.

goal lists, each as an object with one key, what is true after the calls and was not true before. It names everything
that the calls change. The keys:
  {"has": [path, text]} {"lacks": [path, text]} {"starts": [path, text]} {"ends": [path, text]}   a note's text
  {"exists": path} {"gone": path}   a note or folder          {"opened": path}   the note in focus
  {"agent": {field: value}}, likewise session, state, workspace: such a record exists; no_agent and so on: none does.
     fields: agent name description prompt isEnabled; session name description goal; state name active_task tags;
     workspace name description rootFolder
  {"shows": text}   the last result holds this text, which the request does not say
  {"value": ["{result.data.total}", 3]}   a field of the last result has this value
Where a call only reads, say with shows or value what it must bring to light.
"""
SHAPES = {
    "calls": '{"request": text, "calls": [{"tool": name, "arguments": {"context": {...}, ...}}, ...], "goal": [...]}',
    "ask": '{"request": text, "readings": [{"tool": name, "arguments": {...}}, {...}], "answer": text}',
    "answer": '{"request": text, "answer": text}',
    "repair": '{"calls": [{"tool": name, "arguments": {"context": {...}, ...}}, ...]}',
    "closing": '{"closing": text}',
}
ONLY = "Answer with one JSON object and nothing else: "


# ------------------------------------------------------------------------------------------ shapes


def obj(**properties) -> dict:
    """The schema of an object that has all these properties and no others."""
    return {
        "type": "object", "properties": properties, "required": list(properties), "additionalProperties": False
    }  # fmt: skip


TEXT = {"type": "string", "minLength": 1}
PAIR = {"type": "array", "items": TEXT, "minItems": 2, "maxItems": 2}
RECORD = {"type": "object", "minProperties": 1}
GOAL_FORMS = {
    **dict.fromkeys(("has", "lacks", "starts", "ends"), PAIR),
    **dict.fromkeys(("exists", "gone", "opened", "shows"), TEXT),
    **dict.fromkeys((f"{no}{name}" for no in ("", "no_") for name in RECORDS), RECORD),
    "value": {"type": "array", "prefixItems": [TEXT, {}], "minItems": 2, "maxItems": 2},
}  # fmt: skip
GOAL = {"type": "array", "minItems": 1, "items": {"anyOf": [obj(**{name: form}) for name, form in GOAL_FORMS.items()]}}
ANY_CALL = {"type": "object", "properties": {"tool": TEXT, "arguments": {"type": "object"}}, "required": ["tool"]}


def call_schema(toolset, names) -> dict:
    """One call of these tools, without the ids of its context."""
    return {"anyOf": [obj(tool={"const": name}, arguments=without_ids(toolset.tools[name])) for name in names]}


def without_ids(tool) -> dict:
    """A tool's parameters as the teacher fills them: the program adds the ids of the context."""
    properties = dict(tool.parameters["properties"])
    if "context" in properties:
        texts = {name: part for name, part in properties["context"]["properties"].items() if not name.endswith("Id")}
        properties["context"] = obj(**texts)
    return {**tool.parameters, "properties": properties}


def reply_schema(shape, call=ANY_CALL) -> dict:
    """The JSON Schema of a reply: what is asked for with call_schema's call, what is accepted with any call."""
    calls = {"type": "array", "items": call, "minItems": 1, "maxItems": MOST_CALLS}
    return {
        "calls": obj(request=TEXT, calls=calls, goal=GOAL),
        "ask": obj(request=TEXT, readings={**calls, "minItems": 2, "maxItems": 2}, answer=TEXT),
        "answer": obj(request=TEXT, answer=TEXT),
        "repair": obj(calls=calls),
        "closing": obj(closing=TEXT),
    }[shape]


def first_shape(kind) -> str:
    """The shape of the first reply for a kind of row."""
    return {"ask": "ask", "cannot": "answer", "direct": "answer"}.get(kind, "calls")


# ------------------------------------------------------------------------------------------- texts


def show_vault(expanded) -> str:
    """Everything a vault holds, as text."""
    vault = expanded.vault
    day = datetime.fromtimestamp(vault.now / 1000, UTC).strftime("%A, %d %B %Y")
    parts = [f"The vault of this person: {expanded.about}", f"It is {day}.", "", "Notes:"]
    parts += [f"=== {path}\n{note.text}" for path, note in sorted(vault.notes.items())]
    implied = {path.rpartition("/")[0] for path in vault.notes}
    empty = [path for path in sorted(vault.folders) if path not in implied]
    if empty:
        parts += ["", f"Folders without notes: {', '.join(empty)}"]
    names = {item.id: item.name for item in vault.workspaces.values()}
    lists = {
        "Workspaces": [
            {"id": item.id, "name": item.name, "rootFolder": item.root_folder, "description": item.description,
             "current": item.id == vault.current_workspace} for item in vault.workspaces.values()
        ],
        "Sessions": [
            {"id": item.id, "name": item.name, "description": item.description,
             "workspace": names.get(item.workspace_id, "")} for item in vault.sessions.values()
        ],
        "States": [
            {"id": item.id, "name": item.name, "active_task": item.active_task, "tags": list(item.tags)}
            for item in vault.states.values()
        ],
        "Agents": [
            {"id": item.id, "name": item.name, "description": item.description, "prompt": item.prompt,
             "isEnabled": item.is_enabled} for item in vault.agents.values()
        ],
        "Commands": [{"id": item.id, "name": item.name} for item in vault.commands],
        "Models": [{"provider": item.provider, "model": item.model} for item in vault.models],
        "Open": [asdict(vault.window)] if vault.window.active else [],
    }  # fmt: skip
    for title, items in lists.items():
        if items:
            parts += ["", f"{title}:", *map(dump_arguments, items)]
    return "\n".join(parts)


def common_parameters(toolset) -> dict:
    """The parameters that most tools have alike, context among them."""
    counts = Counter()
    for tool in toolset.tools.values():
        counts.update((name, dump_arguments(part)) for name, part in tool.parameters["properties"].items())
    return {name: json.loads(part) for (name, part), count in counts.items() if 2 * count > len(toolset.tools)}


def show_tool(tool, left_out) -> str:
    """One tool with the schema of its arguments, some of them left out."""
    properties = {name: part for name, part in tool.parameters["properties"].items() if name not in left_out}
    required = [name for name in tool.parameters.get("required", ()) if name not in left_out]
    rest = {key: part for key, part in tool.parameters.items() if key in ("anyOf", "oneOf", "allOf", "not")}
    schema = {"properties": properties, "required": required, **rest}
    return f"{tool.name}: {tool.description}\n{dump_arguments(schema)}"


def show_tools(task, toolset) -> str:
    """The tool of a row and those related to it with their schemas; all tools by name where none is to be called."""
    if not task.tool:
        return "\n".join(["All tools:", *(f"{tool.name}: {tool.description}" for tool in toolset.tools.values())])
    common = common_parameters(toolset)
    shown = [show_tool(toolset.tools[name], common) for name in (task.tool, *task.related)]
    more = dump_arguments({name: part for name, part in common.items() if name != "context"})
    return "\n\n".join(["Tools, with the JSON Schema of their arguments:", *shown, f"Most tools also take: {more}"])


def first_messages(task, toolset) -> list[dict]:
    """The rules, and the prompt for a row: vault, tools, what to write."""
    wanted = (
        f"Write one example of kind {task.kind}. {KIND_TASKS[task.kind].format(tool=task.tool)}\n"
        f"- The user speaks like this: {ACT_STYLES[task.act]}.\n"
        f"- What they are busy with today: {task.theme}. Where it fits, let the row be about {task.focus}.\n"
        f"{ONLY}{SHAPES[first_shape(task.kind)]}"
    )
    content = f"{show_vault(task.expanded)}\n\n{show_tools(task, toolset)}\n\n{wanted}"
    return [{"role": "system", "content": RULES}, {"role": "user", "content": content}]


def follow_up(messages, reply, run, shape) -> list[dict]:
    """The talk so far and what the calls returned; asks for the repair or for the closing words."""
    results = "\n".join(
        f"{number}. {step.tool}: {dump_arguments(step.result)}" for number, step in enumerate(run.steps, 1)
    )
    wanted = {
        "repair": "The last call failed; calls after it were not made. Write the calls that reach the goal from here, "
        "with what the assistant knows now.",
        "closing": "Write what the assistant says to the user now, in one or two sentences. It reports or answers from "
        "the request and these results alone: every path, number and name in it stands there. If a call failed, it "
        "may say so.",
    }[shape]
    content = f"The calls returned:\n{results}\n\n{wanted}\n{ONLY}{SHAPES[shape]}"
    return [*messages, {"role": "assistant", "content": reply}, {"role": "user", "content": content}]
