"""Plans run in the vault: calls with their context, results, goals, and how two runs compare."""

from dataclasses import asdict, dataclass, field

from lib.chat import dump_arguments
from lib.synth.templates import ABSENT, Gap, fill, look_up, plain
from lib.toolset import in_schema_order, load_toolset, without_context
from lib.vault import execute


@dataclass(frozen=True)
class Step:
    """One call as it was made, and what came back."""

    tool: str
    arguments: dict
    result: dict

    @property
    def ok(self):
        return bool(self.result.get("success"))

    @property
    def key(self):
        """The call without its context, as text."""
        return self.tool + dump_arguments(without_context(self.arguments))


@dataclass(frozen=True)
class Run:
    """The steps of one plan and the vault it left."""

    before: object
    after: object
    steps: tuple
    scope: dict = field(repr=False)

    @property
    def results(self):
        return [step.result for step in self.steps]


def run_plan(vault, plan, scope, context_for):
    """Run a plan on a clone of the vault; context_for(number, step, scope) gives each call's context."""
    after = vault.clone()
    scope = dict(scope)
    steps = []
    for number, planned in enumerate(plan):
        arguments = plain(fill(planned.get("with") or {}, scope))
        tool = str(plain(fill(planned["tool"], scope)))
        arguments = ordered(tool, {"context": context_for(number, planned, scope, arguments), **arguments})
        result = execute(after, tool, arguments)
        steps.append(Step(tool, arguments, result))
        scope["result"] = scope["last"] = result
        if "as" in planned:
            scope[planned["as"]] = result
    return Run(vault, after, tuple(steps), scope)


def ordered(tool, arguments):
    """The arguments in the order of the tool's schema, unless their fault is that context does not come first."""
    known = load_toolset().tools.get(tool)
    misplaced = "context" in arguments and next(iter(arguments)) != "context"
    return arguments if known is None or misplaced else in_schema_order(arguments, known.parameters)


def run_calls(vault, calls):
    """Run finished (tool, arguments) calls on a clone of the vault."""
    after = vault.clone()
    calls = [(tool, ordered(tool, arguments)) for tool, arguments in calls]
    steps = tuple(Step(tool, arguments, execute(after, tool, arguments)) for tool, arguments in calls)
    return Run(vault, after, steps, {"result": steps[-1].result} if steps else {})


def schema_findings(run):
    """Everything the toolset finds wrong with the calls of a run."""
    toolset = load_toolset()
    return [finding for step in run.steps for finding in toolset.check(step.tool, step.arguments)]


# ------------------------------------------------------------------------------------------ goals


def leaves(value):
    """Every string, number and flag in a JSON value."""
    if isinstance(value, dict):
        for item in value.values():
            yield from leaves(item)
    elif isinstance(value, list):
        for item in value:
            yield from leaves(item)
    elif value is not None:
        yield value


def texts_given(calls):
    """The text arguments of some calls, without those of their contexts."""
    own = [without_context(call.arguments) for call in calls]
    return tuple(leaf for leaf in leaves(own) if isinstance(leaf, str))


def note_text(run, path):
    note = run.after.notes.get(path.lstrip("/"))
    return None if note is None else note.text


def shows(run, text):
    """Whether the latest result holds the text in one of its values or keys."""
    if not run.steps:
        return False
    result = run.steps[-1].result
    values = "\n".join(str(leaf) for leaf in leaves({**result, "sessionId": "", "workspaceId": ""}))
    return str(text) in values or str(text) in dump_arguments(result)


def with_fields(records, wanted):
    """Whether some record has all the wanted fields; camelCase names stand for the vault's own."""
    own = {"rootFolder": "root_folder", "isEnabled": "is_enabled", "enabled": "is_enabled", "isActive": "is_active"}
    for record in records:
        known = asdict(record)
        for key, value in wanted.items():
            found = look_up(known, own.get(key, key))
            found = list(found) if isinstance(found, tuple) else found
            if found is ABSENT or (found != value and not (isinstance(found, list) and value in found)):
                break
        else:
            return True
    return False


GOALS = {
    "has": lambda run, path, text: text in (note_text(run, path) or ""),
    "lacks": lambda run, path, text: note_text(run, path) is not None and text not in note_text(run, path),
    "starts": lambda run, path, text: (note_text(run, path) or "").startswith(text),
    "ends": lambda run, path, text: (note_text(run, path) or "").endswith(text),
    "exists": lambda run, path: path in run.after.notes or path in run.after.folders,
    "gone": lambda run, path: path not in run.after.notes and path not in run.after.folders,
    "opened": lambda run, path: run.after.window.active == path,
    "shows": shows,
    "value": lambda run, found, wanted: found == wanted,
}
RECORDS = {"agent": "agents", "session": "sessions", "state": "states", "workspace": "workspaces"}


def goal_holds(run, goals, scope):
    """Whether every goal is true after the run; a goal that speaks of a missing result is false."""
    for goal in goals:
        for kind, wanted in goal.items():
            try:
                wanted = plain(fill(wanted, {**scope, **run.scope}))
            except Gap:
                return False
            if kind in GOALS:
                wanted = wanted if isinstance(wanted, list) else [wanted]
                if not GOALS[kind](run, *wanted):
                    return False
                continue
            found = with_fields(getattr(run.after, RECORDS[kind.removeprefix("no_")]).values(), wanted)
            if found == kind.startswith("no_"):
                return False
    return True


# ---------------------------------------------------------------------------------- what changed


# Fields of records that every run fills differently.
VOLATILE = {
    "workspaces": ("id", "created", "last_accessed"),
    "sessions": ("id", "created", "ended"),
    "states": ("id", "created"),
    "agents": ("id",),
}


def content(vault, parts=tuple(VOLATILE)):
    """What a vault holds, without clocks, fresh ids and the trace of the calls themselves; of records only `parts`."""
    return {
        **{f"note {path}": note.text for path, note in vault.notes.items()},
        **{f"folder {path}": True for path in vault.folders},
        **{part: lasting(vault, part) for part in parts},
        "commands": list(vault.commands_run),
        "window": list(vault.window.open),
        "active": vault.window.active,
    }


def lasting(vault, part):
    """The records of one part without what is volatile, their owners by name."""
    names = {item.id: item.name for item in [*vault.workspaces.values(), *vault.sessions.values()]}
    rows = []
    for item in getattr(vault, part).values():
        row = {key: value for key, value in asdict(item).items() if key not in VOLATILE[part]}
        rows.append({key: names.get(value, value) if isinstance(value, str) else value for key, value in row.items()})
    return sorted(rows, key=dump_arguments)


def effect(run):
    """What the run changed: a mapping from place to new value (None: gone), empty when nothing did."""
    # Clones share their records, so that the parts which no call touched are told apart at once.
    touched = [part for part in VOLATILE if getattr(run.before, part) != getattr(run.after, part)]
    before, after = content(run.before, touched), content(run.after, touched)
    return {key: after.get(key) for key in sorted(before.keys() | after.keys()) if before.get(key) != after.get(key)}
