"""Scenario material read from YAML: worlds, intents, words and quotas, checked for their form."""

import re
from dataclasses import dataclass, field, replace
from pathlib import Path

import yaml

from lib.errors import CannotRun
from lib.synth.templates import keys_too, names_in
from lib.synth.world_parts import check_asides, check_series, refuse_unknown

SCENARIOS = Path("datasets/scenarios")
KINDS = ("act", "lookup", "repair", "ask", "cannot", "direct")
ACTS = ("order", "question", "need", "short", "polite", "me", "messy")
CONTEXT_PARTS = ("goal", "subgoal", "why", "memory")
GOALS = (
    "has", "lacks", "starts", "ends", "exists", "gone", "opened", "shows", "value",
    "agent", "session", "state", "workspace", "no_agent", "no_session", "no_state", "no_workspace",
)  # fmt: skip
STEP_FIELDS = {"tool", "with", "why", "memory", "subgoal", "as", "fails", "empty"}
WRONG_FIELDS = {"reason", "change", "call", "tool", "plan", "close", "closes"}
INTENT_FIELDS = {
    "id", "kind", "tool", "slots", "plan", "goal", "asks", "closes", "context", "wrong", "worlds", "weight", "given",
    "twin",
}  # fmt: skip
GIVEN_PARTS = ("without", "with", "swap", "agents")
SHARED_BY_TWINS = ("slots", "asks", "context", "worlds", "weight")
BANKS = {
    "additions": "note line", "banners": "note line", "edits": "note old new", "removals": "note text",
    "replaces": "note find replace", "questions": "note ask answer", "names": "query folder about",
    "drafts": "path text about", "new_folders": "path about", "moves": "note to why", "copies": "note to why",
    "renames": "folder to", "folder_moves": "folder to", "topics": "query about note", "memories": "query about",
    "new_workspaces": "name rootFolder purpose currentGoal workflow", "workspace_changes": "workspace field value say",
    "new_sessions": "name description goal", "session_changes": "session name description",
    "new_states": "name task files next reasoning context tag", "state_changes": "state name tag",
    "new_agents": "name description prompt", "agent_changes": "agent field value say", "prompts": "agent prompt note",
    "pictures": "prompt savePath", "ambiguous": "name query first second", "absent": "name path about",
    "chats": "ask answer", "impossible": "ask answer",
}  # fmt: skip


@dataclass(frozen=True)
class Intent:
    id: str
    source: str  # the file it was read from
    kind: str
    tool: str  # counted under this tool; "" when no tool is called
    slots: dict
    plan: tuple
    goal: tuple
    asks: tuple  # (speech act, template) pairs
    closes: tuple
    context: dict
    wrong: tuple
    worlds: tuple  # empty: any world that has what the slots need
    weight: float
    given: dict  # how the vault differs before the run
    twin: str  # intents of one twin share slots, asks and context, and get the same requests
    others: tuple = ()  # the other intents of its twin

    @property
    def key(self):
        """What seeds its rows: twins share it."""
        return self.twin or self.id


@dataclass(frozen=True)
class Material:
    worlds: dict = field(default_factory=dict)  # name -> mapping as written
    intents: tuple = ()
    words: dict = field(default_factory=dict)
    quotas: dict = field(default_factory=dict)


class PlainLoader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
    """YAML in which only true and false are flags: people write on, off, yes and no as words."""


PlainLoader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:bool"]
    for first, resolvers in PlainLoader.yaml_implicit_resolvers.items()
}
PlainLoader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile("^(?:true|false)$"), list("tf"))


def read_yaml(path):
    """What one YAML file holds; a fault names file and line."""
    try:
        return yaml.load(path.read_text(encoding="utf-8"), Loader=PlainLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f"{path}:{mark.line + 1}" if mark else str(path)
        reason = getattr(error, "problem", None) or error
        raise CannotRun(
            f"{place}: not YAML ({reason}). Quote texts that hold any of , : ? # [ {{ inside braces."
        ) from None


def as_tuple(value):
    if value is None:
        return ()
    return tuple(value) if isinstance(value, (list, tuple)) else (value,)


def read_asks(place, asks):
    """(speech act, template) pairs from the mapping of an intent."""
    if isinstance(asks, list):
        asks = {"order": asks}
    if not isinstance(asks, dict) or not asks:
        raise CannotRun(f"{place}: asks must list requests by speech act ({', '.join(ACTS)}).")
    refuse_unknown(place, asks, ACTS, "speech act")
    return tuple((act, str(text)) for act, texts in asks.items() for text in as_tuple(texts))


def read_plan(place, steps):
    for number, step in enumerate(steps, 1):
        if not isinstance(step, dict) or "tool" not in step:
            raise CannotRun(f"{place}: call {number} of the plan needs a tool.")
        refuse_unknown(f"{place}: call {number}", step, STEP_FIELDS, "field")
    return tuple(steps)


def read_given(place, given):
    refuse_unknown(f"{place}: given", given, GIVEN_PARTS, "part")
    return {**given, "without": list(as_tuple(given["without"]))} if "without" in given else given


def read_intent(record, source):
    """One Intent from its mapping; a fault names file and intent."""
    if not isinstance(record, dict) or "id" not in record:
        raise CannotRun(f"{source}: every intent is a mapping with an id.")
    place = f"{source}: {record['id']}"
    refuse_unknown(place, record, INTENT_FIELDS, "field")
    kind = record.get("kind", "act")
    refuse_unknown(place, [kind], KINDS, "kind")
    plan = read_plan(place, as_tuple(record.get("plan")))
    goals = as_tuple(record.get("goal"))
    for goal in goals:
        refuse_unknown(place, goal, GOALS, "goal")
    if plan and not goals:
        raise CannotRun(f"{place}: a plan needs a goal, so that the run can be judged.")
    if not plan and kind in ("act", "lookup", "repair"):
        raise CannotRun(f"{place}: kind {kind} needs a plan.")
    wrong = as_tuple(record.get("wrong"))
    for mistake in wrong:
        refuse_unknown(f"{place}: wrong", mistake, WRONG_FIELDS, "field")
    context = {key: as_tuple(value) for key, value in (record.get("context") or {}).items()}
    refuse_unknown(f"{place}: context", context, CONTEXT_PARTS, "field")
    intent = Intent(
        id=str(record["id"]),
        source=str(source),
        kind=kind,
        tool=record.get("tool") or (plan[-1]["tool"] if plan and kind in ("act", "lookup", "repair") else ""),
        slots=record.get("slots") or {},
        plan=plan,
        goal=goals,
        asks=read_asks(place, record.get("asks")),
        closes=tuple(map(str, as_tuple(record.get("closes")))),
        context=context,
        wrong=wrong,
        worlds=as_tuple(record.get("worlds")),
        weight=float(record.get("weight", 1)),
        given=read_given(place, record.get("given") or {}),
        twin=str(record.get("twin", "")),
    )
    check_names(place, intent)
    return intent


def check_names(place, intent):
    """Refuse placeholders that no slot and no call of the intent explains."""
    known = set(intent.slots) | {step["as"] for step in intent.plan if "as" in step} | {"result", "world"}
    if not intent.closes:
        raise CannotRun(f"{place}: closes must hold at least one last sentence.")
    used = [text for _, text in intent.asks] + list(intent.closes) + [list(map(dict, intent.plan))]
    used += [list(intent.goal), {key: list(value) for key, value in intent.context.items()}, keys_too(intent.given)]
    for name in sorted(set().union(*map(names_in, used))):
        if name not in known:
            raise CannotRun(f"{place}: {{{name}}} is neither a slot nor the `as` name of a call.")


def read_intents(path):
    """The intents of one file, ids checked to differ."""
    records = read_yaml(path) or []
    if not isinstance(records, list):
        raise CannotRun(f"{path}: must be a list of intents, each starting with '- id:'.")
    first = {}  # twin -> the record in which its asks are written
    for place, record in enumerate(records):
        twin = record.get("twin") if isinstance(record, dict) else None
        if twin and first.setdefault(twin, record) is not record:
            records[place] = like_twin(f"{path.name}: {record.get('id')}", record, first[twin])
    return with_twins([read_intent(record, path.name) for record in records])


def like_twin(place, record, first):
    """The record of a later twin with what the first one wrote for all of them."""
    again = [name for name in SHARED_BY_TWINS if name in record]
    if again:
        raise CannotRun(f"{place}: {again[0]} belongs to the first record of a twin, here {first.get('id')}.")
    return {**record, **{name: first[name] for name in SHARED_BY_TWINS if name in first}}


def with_twins(intents):
    """The intents, each with the others of its twin; a twin needs two and one first call."""
    by_twin = {}
    for intent in intents:
        by_twin.setdefault(intent.twin, []).append(intent)
    for name, members in by_twin.items():
        place = f"{members[0].source}: {members[0].id}"
        if name and len(members) < 2:
            raise CannotRun(f"{place}: twin {name} has no second record in this file.")
        if name and any(first_call(item) != first_call(members[0]) or not item.plan for item in members):
            raise CannotRun(f"{place}: the first call of twin {name} must be the same in all its records.")
    return [
        replace(item, others=tuple(other for other in by_twin[item.twin] if other is not item)) if item.twin else item
        for item in intents
    ]


def first_call(intent):
    """The call that twins share: it must not know yet what it will show."""
    first = intent.plan[0] if intent.plan else {}
    return {key: value for key, value in first.items() if key not in ("fails", "empty")}


def read_world(path):
    """One world as written; banks checked for their fields."""
    world = read_yaml(path)
    if not isinstance(world, dict) or not world.get("notes"):
        raise CannotRun(f"{path}: a world is a mapping with notes.")
    banks = world.get("banks") or {}
    refuse_unknown(path, banks, BANKS, "bank")
    for name, records in banks.items():
        for number, record in enumerate(records or [], 1):
            missing = [part for part in BANKS[name].split() if part not in (record or {})]
            if missing:
                raise CannotRun(f"{path}: banks.{name}, record {number}: {missing[0]} is missing.")
    check_series(path, world)
    check_asides(path, world)
    return {**world, "name": path.stem, "banks": banks}


def load_material(folder=SCENARIOS):
    """Everything under the scenario folder; faults are CannotRun with file and place."""
    folder = Path(folder)
    worlds = {path.stem: read_world(path) for path in sorted(folder.glob("worlds/*.yaml"))}
    intents = [intent for path in sorted(folder.glob("intents/*.yaml")) for intent in read_intents(path)]
    seen = {}
    for intent in intents:
        if intent.id in seen:
            raise CannotRun(f"{intent.source}: intent {intent.id} is already in {seen[intent.id]}; choose another id.")
        seen[intent.id] = intent.source
    if not worlds or not intents:
        raise CannotRun(f"{folder}: needs at least one world and one intent; see {folder}/README.md.")
    words = {path.stem: read_yaml(path) for path in sorted(folder.glob("words/*.yaml"))}
    return Material(worlds, tuple(intents), words, read_yaml(folder / "quotas.yaml"))
