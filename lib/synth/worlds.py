"""A world and a seed make one vault, its banks, and the entities that intents can ask for."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime

from lib.synth.seeds import generator
from lib.synth.templates import ABSENT, Entity, look_up, path_fields, plain
from lib.vault import Vault
from lib.vault.defaults import COMMANDS, MODELS
from lib.vault.paths import parents
from lib.vault.state import Window

NOW = "2025-11-03T09:00:00Z"  # of a world that does not say
FIXTURE_PARTS = ("notes", "folders", "workspaces", "sessions", "states", "agents", "commands", "models")
ENTITY_FIELDS = ("note", "folder", "agent", "workspace", "session", "state")
SOMETIMES_SHARE = 0.6  # of a world's occasional notes, how many one seed has
COMMANDS_SHOWN = 6  # the whole palette would not fit a short example
MODELS_SHOWN = 2
HOUR_MS, DAY_MS = 3_600_000, 86_400_000
DATE = re.compile(r"20\d\d-\d\d-\d\d")


@dataclass(frozen=True)
class Expanded:
    """One vault of a world: where runs start from, and what slots can be bound to."""

    world: str
    seed: int
    about: str
    themes: tuple
    asides: dict  # what the person tells around a request: sentences that go before it, and after it
    vault: Vault
    banks: dict
    entities: dict  # kind -> list of Entity


def substitute(value, words):
    """The value with every <word> replaced, in keys too."""
    if isinstance(value, str):
        for word, chosen in words.items():
            value = value.replace(f"<{word}>", chosen)
        return value
    if isinstance(value, list):
        return [substitute(item, words) for item in value]
    if isinstance(value, dict):
        return {substitute(key, words): substitute(item, words) for key, item in value.items()}
    return value


def expand(world, seed):
    """The vault, banks and entities of one world under one seed."""
    rng = generator("world", world["name"], seed)
    words = {word: str(rng.choice(values)) for word, values in sorted((world.get("vary") or {}).items())}
    varied = substitute({key: value for key, value in world.items() if key != "vary"}, words)
    fixture = {part: varied[part] for part in FIXTURE_PARTS if varied.get(part)}
    extras = {path: text for path, text in (varied.get("sometimes") or {}).items() if rng.random() < SOMETIMES_SHARE}
    notes = {**fixture["notes"], **extras}
    fixture |= {"now": str(varied.get("now") or NOW), "seed": rng.randrange(1, 2**31)}
    vault = Vault.from_dict({**fixture, "notes": {}})
    serial = series_notes(varied, vault.now, seed)  # with draws of its own, so that a series changes nothing else
    fixture["notes"] = dated_notes(notes, vault.now, rng) | serial
    vault = Vault.from_dict(fixture)
    if "commands" not in fixture:
        vault.commands = tuple(rng.sample(COMMANDS, COMMANDS_SHOWN))
    if "models" not in fixture:
        vault.models = tuple(sorted(rng.sample(MODELS, MODELS_SHOWN), key=MODELS.index))
    # Something is open, or else focus would make no difference.
    shown = rng.choice(sorted(path for path in vault.notes if path not in serial))
    vault.window = Window(((shown, "tab"),), shown)
    entities = vault_entities(vault)
    return Expanded(
        world["name"], seed, str(varied.get("about", "")), tuple(varied.get("themes") or ()),
        varied.get("asides") or {}, vault, resolve_banks(varied.get("banks") or {}, entities), entities,
    )  # fmt: skip


def series_notes(world, now, seed):
    """The dated notes of every series: how many and which lines is drawn from the seed and the series' path."""
    notes = {}
    for series in world.get("series") or ():
        rng = generator("series", world["name"], seed, series["path"])
        days = list(series_days(series, now).items())[: rng.randint(*series["count"])]
        tags = f"---\ntags: [{', '.join(series['tags'])}]\n---\n" if series.get("tags") else ""
        made = {}
        for path, day in days:
            lines = rng.sample(series["lines"], rng.randint(*series["pick"]))
            made[path] = tags + "\n".join([series["head"].replace("{date}", day), *lines])
        notes |= dated_notes(made, now, rng)
    return notes


def series_days(series, now):
    """Path and ISO date of the most notes a series can have, counted back from `now` (ms); the first is not today."""
    days = range(1, series["count"][1] + 1)
    dates = [datetime.fromtimestamp((now - n * series["every"] * DAY_MS) / 1000, UTC).date().isoformat() for n in days]
    return {series["path"].replace("{date}", date): date for date in dates}


def dated_notes(notes, now, rng):
    """The notes with creation and change times of the past year; a date in a name is the day it was made."""
    dated = {}
    for path, note in notes.items():
        note = dict(note) if isinstance(note, dict) else {"text": note}
        note["text"] = note["text"].rstrip("\n")
        made = now - rng.randrange(2 * DAY_MS, 300 * DAY_MS)
        changed = rng.random()
        if day := DATE.search(path):
            made = min(day_start(day.group()) + round(changed * 10_000) + 9 * HOUR_MS, now - HOUR_MS)
        note.setdefault("created", made)
        note.setdefault("modified", made + round(changed * (now - HOUR_MS - made)))
        dated[path] = note
    return dated


def day_start(text):
    """Midnight of an ISO date in ms since 1970; an impossible date counts as 1970."""
    try:
        return round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)
    except ValueError:
        return 0


def vault_entities(vault):
    """Every note, folder, workspace, session, state, agent, command and model as entities."""
    notes = [
        Entity(path_fields(path), kind="note", text=note.text, lines=len(note.text.splitlines()))
        for path, note in sorted(vault.notes.items())
    ]
    used = {parent for path in [*vault.notes, *vault.folders] for parent in parents(path)}
    folders = [
        Entity(path_fields(path), kind="folder", title=path.rpartition("/")[2], empty=path not in used)
        for path in sorted(vault.folders)
    ]
    workspaces = [
        Entity(
            id=item.id, name=item.name, description=item.description, rootFolder=item.root_folder,
            purpose=item.context.get("purpose", ""), currentGoal=item.context.get("currentGoal", ""),
            preferences=item.context.get("preferences", ""), workflows=item.context.get("workflows", []),
            kind="workspace", current=item.id == vault.current_workspace,
        )
        for item in vault.workspaces.values()
    ]  # fmt: skip
    names = {item["id"]: item["name"] for item in workspaces}
    sessions = [
        Entity(
            id=item.id, name=item.name, description=item.description, goal=item.goal,
            workspace=names.get(item.workspace_id, ""), workspace_id=item.workspace_id,
            kind="session", current=item.id == vault.current_session,
            here=item.workspace_id == vault.current_workspace,
        )
        for item in vault.sessions.values()
    ]  # fmt: skip
    states = [
        Entity(
            id=item.id, name=item.name, task=item.active_task, files=list(item.active_files),
            next=list(item.next_steps), reasoning=item.reasoning, tags=list(item.tags), kind="state",
            here=item.session_id == vault.current_session,
        )
        for item in vault.states.values()
    ]  # fmt: skip
    agents = [
        Entity(
            id=item.id, name=item.name, description=item.description, prompt=item.prompt,
            enabled=item.is_enabled, kind="agent",
        )
        for item in vault.agents.values()
    ]  # fmt: skip
    commands = [Entity(id=item.id, name=item.name, kind="command") for item in vault.commands]
    models = [
        Entity(name=item.model, model=item.model, provider=item.provider, title=item.name) for item in vault.models
    ]
    return {
        "note": notes, "folder": folders, "workspace": workspaces, "session": sessions, "state": states,
        "agent": agents, "command": commands, "model": models,
    }  # fmt: skip


def resolve_banks(banks, entities):
    """The banks with names replaced by entities; records whose note or folder this seed lacks are left out."""
    known = {kind: {plain(item): item for item in entities[kind]} for kind in ENTITY_FIELDS}
    resolved = {}
    for bank, records in banks.items():
        resolved[bank] = []
        for number, record in enumerate(records):
            record = Entity(record, bank=bank, number=number)
            missing = [part for part in ENTITY_FIELDS if part in record and record[part] not in known[part]]
            if missing:
                continue
            for part in ENTITY_FIELDS:
                if part in record:
                    record[part] = known[part][record[part]]
            passage = record.get("old") or record.get("text")
            if passage and "note" in record:
                before = record["note"]["text"].partition(str(passage))
                if not before[1]:
                    continue
                record["line"] = before[0].count("\n") + 1
            resolved[bank].append(record)
    return resolved


def matches(entity, query, scope):
    """Whether an entity fits a query of an intent."""
    for key, wanted in query.items():
        if key == "other_than":
            other, kind = look_up(scope, wanted), entity.get("kind")
            if isinstance(other, dict) and other.get("kind") != kind:
                other = other.get(kind, other)  # the note of a record, the folder of a note
            fits = other is ABSENT or plain(other) != plain(entity)
        elif key == "under":
            fits = entity["path"].startswith(str(wanted).rstrip("/") + "/")
        elif key == "not_under":
            fits = not entity["path"].startswith(str(wanted).rstrip("/") + "/")
        elif key == "has":
            fits = str(wanted) in entity["text"]
        elif key == "tag":
            fits = (
                str(wanted) in entity["text"].partition("---\n")[2].partition("---")[0]
                or f"#{wanted}" in entity["text"]
            )
        elif key == "min_lines":
            fits = entity["lines"] >= wanted
        elif key == "max_lines":
            fits = entity["lines"] <= wanted
        else:
            value = entity.get(key, ABSENT)
            fits = value == wanted or (isinstance(wanted, list) and value in wanted)
        if not fits:
            return False
    return True


def candidates(expanded, definition, scope):
    """What a slot can be bound to: records of a bank, entities that fit, or the values of a choice."""
    if isinstance(definition, str):
        return expanded.banks.get(definition, [])
    if isinstance(definition, list):
        return [
            Entity(item, number=number) if isinstance(item, dict) else item for number, item in enumerate(definition)
        ]
    (kind, query), *_ = definition.items()
    if kind in expanded.entities:
        return [item for item in expanded.entities[kind] if matches(item, query or {}, scope)]
    return [item for item in expanded.banks.get(kind, []) if matches(item, query or {}, scope)]
