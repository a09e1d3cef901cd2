"""Vaults from fixture dictionaries (JSON or YAML, every part optional) and back, without loss."""

from __future__ import annotations

import base64
import binascii
import copy
import hashlib
import json
from typing import Any

import orjson

from lib.errors import CannotRun
from lib.vault import defaults, files
from lib.vault.call import ToolError
from lib.vault.paths import clean, parent
from lib.vault.records import CONTEXT_KEYS, check_keys, entries, record_from, time_of, to_dict, typed
from lib.vault.state import (
    Agent,
    Command,
    Model,
    Note,
    Session,
    State,
    Trace,
    Vault,
    Window,
    Workspace,
)

MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
PARTS = {
    "now": (object, defaults.NOW),
    "seed": (int, 0),
    "made": (int, 0),
    "notes": (dict, {}),
    "folders": (list, []),
    "workspaces": (list, []),
    "sessions": (list, []),
    "states": (list, []),
    "traces": (list, []),
    "agents": (list, []),
    "commands": (list, [to_dict(command) for command in defaults.COMMANDS]),
    "models": (list, [to_dict(model) for model in defaults.MODELS]),
    "commandsRun": (list, []),
    "window": (dict, {}),
    "currentWorkspace": (str, ""),
    "currentSession": (str, ""),
}


def vault_from_dict(fixture: dict[str, Any]) -> Vault:
    """The vault a fixture describes; missing ids and times are made from its seed and clock."""
    check_keys(fixture, tuple(PARTS), "")
    try:
        orjson.dumps(fixture)
    except TypeError as fault:
        raise CannotRun(f"fixture: cannot be written as JSON ({fault}).") from None
    # A copy, so that nobody who keeps the fixture can change the vault.
    parts = {key: copy.deepcopy(typed(fixture.get(key, default), kind, key)) for key, (kind, default) in PARTS.items()}
    vault = Vault(
        now=time_of(parts["now"], "now"),
        seed=parts["seed"],
        made=parts["made"],
        commands=tuple(record_from(Command, item, where) for where, item in entries("commands", parts["commands"])),
        models=tuple(record_from(Model, item, where) for where, item in entries("models", parts["models"])),
        commands_run=tuple(parts["commandsRun"]),
    )
    _add_files(vault, parts)
    marks: dict[str, str] = {}
    _add_workspaces(vault, parts, marks)
    _add_sessions(vault, parts, marks)
    _add_states(vault, parts)
    _add_traces(vault, parts)
    for where, item in entries("agents", parts["agents"]):
        agent = record_from(Agent, item, where, id=lambda: vault.new_id("prompt", vault.now - 30 * DAY))
        _add(vault.agents, agent, where)
    add_window(vault, parts["window"])
    return vault


def vault_to_dict(vault: Vault) -> dict[str, Any]:
    """The fixture that makes the same vault again."""
    return {
        "now": vault.now,
        "seed": vault.seed,
        "made": vault.made,
        "notes": {path: _note_to_dict(vault.notes[path]) for path in sorted(vault.notes)},
        "folders": sorted(vault.folders),
        "workspaces": [to_dict(item) for item in vault.workspaces.values()],
        "sessions": [to_dict(item) for item in vault.sessions.values()],
        "states": [to_dict(item) for item in vault.states.values()],
        "traces": [to_dict(item) for item in vault.traces.values()],
        "agents": [to_dict(item) for item in vault.agents.values()],
        "commands": [to_dict(item) for item in vault.commands],
        "models": [to_dict(item) for item in vault.models],
        "commandsRun": list(vault.commands_run),
        "window": {"open": [list(tab) for tab in vault.window.open], "active": vault.window.active},
        "currentWorkspace": vault.current_workspace,
        "currentSession": vault.current_session,
    }


def _add_files(vault: Vault, parts: dict) -> None:
    for path, note in parts["notes"].items():
        vault.notes[_path(path, "notes")] = _note(vault, path, note)
    for path in [*parts["folders"], *map(parent, vault.notes)]:
        try:
            files.make_folder(vault, _path(path, "folders"))
        except ToolError as fault:
            raise CannotRun(f"fixture: folders: {fault.text}.") from None


def _add_workspaces(vault: Vault, parts: dict, marks: dict) -> None:
    for index, (where, item) in enumerate(entries("workspaces", parts["workspaces"])):
        context = dict(typed(item.get("context", {}), dict, f"{where}: context"))
        context.update((key, item[key]) for key in CONTEXT_KEYS if key in item)
        if "workflows" in context:
            context["workflows"] = [_workflow(flow, where) for flow in typed(context["workflows"], list, where)]
        made = vault.now - 60 * DAY + index * DAY
        workspace = record_from(
            Workspace,
            {**item, "context": context},
            where,
            id=lambda made=made: vault.new_id("ws", made),
            root_folder=lambda: "",
            created=lambda made=made: made,
            last_accessed=lambda index=index: vault.now - (index + 1) * DAY,
        )
        _add(vault.workspaces, workspace, where)
        if item.get("current"):
            marks["workspace"] = workspace.id
    if not vault.workspaces:
        made = vault.now - 60 * DAY
        workspace = Workspace(vault.new_id("ws", made), defaults.WORKSPACE_NAME, "/", made, vault.now - DAY)
        _add(vault.workspaces, workspace, "workspaces")
    chosen = parts["currentWorkspace"] or marks.get("workspace") or next(iter(vault.workspaces))
    vault.current_workspace = _find(vault.workspaces, chosen, "currentWorkspace")


def _add_sessions(vault: Vault, parts: dict, marks: dict) -> None:
    items = entries("sessions", parts["sessions"])
    for index, (where, item) in enumerate(items):
        made = vault.now - (len(items) - index) * DAY
        owner = item.get("workspaceId") or item.get("workspace") or vault.current_workspace
        session = record_from(
            Session,
            {**item, "workspaceId": _find(vault.workspaces, owner, where)},
            where,
            id=lambda made=made: vault.new_id("session", made),
            created=lambda made=made: made,
        )
        _add(vault.sessions, session, where)
        if item.get("current"):
            marks["session"] = session.id
    if "session" in marks and "workspace" not in marks and not parts["currentWorkspace"]:
        vault.current_workspace = vault.sessions[marks["session"]].workspace_id
    mine = [session.id for session in vault.sessions.values() if session.workspace_id == vault.current_workspace]
    chosen = parts["currentSession"] or marks.get("session") or (mine[-1] if mine else "")
    if not chosen:
        made = vault.now - HOUR
        session = Session(vault.new_id("session", made), vault.current_workspace, defaults.SESSION_NAME, made)
        _add(vault.sessions, session, "sessions")
        chosen = session.id
    vault.current_session = _find(vault.sessions, chosen, "currentSession")


def _add_states(vault: Vault, parts: dict) -> None:
    items = entries("states", parts["states"])
    for index, (where, item) in enumerate(items):
        made = vault.now - (len(items) - index) * HOUR
        session = _find(vault.sessions, item.get("sessionId") or item.get("session") or vault.current_session, where)
        task, reasoning = item.get("activeTask", ""), item.get("reasoning", "")
        state = record_from(
            State,
            {"workspaceId": vault.sessions[session].workspace_id, **item, "sessionId": session},
            where,
            id=lambda made=made: vault.new_id("state", made),
            created=lambda made=made: made,
            description=lambda task=task, reasoning=reasoning: f"{task} - {reasoning}" if task else "",
        )
        _add(vault.states, state, where)


def _add_traces(vault: Vault, parts: dict) -> None:
    items = entries("traces", parts["traces"])
    for index, (where, item) in enumerate(items):
        made = vault.now - (len(items) - index) * MINUTE
        if isinstance(item.get("params"), dict):
            item["params"] = json.dumps(item["params"])
        session = _find(vault.sessions, item.get("sessionId") or item.get("session") or vault.current_session, where)
        trace = record_from(
            Trace,
            {"workspaceId": vault.sessions[session].workspace_id, **item, "sessionId": session},
            where,
            id=lambda made=made: vault.new_id("trace", made),
            timestamp=lambda made=made: made,
        )
        _add(vault.traces, trace, where)


def add_window(vault: Vault, window: dict) -> None:
    """Opens what the fixture shows as open; files that are gone have no tab."""
    check_keys(window, ("open", "active"), "window")
    tabs = []
    for tab in typed(window.get("open", []), list, "window: open"):
        if not isinstance(tab, list) or len(tab) != 2:
            raise CannotRun("fixture: window: open: each entry is [path, mode].")
        if tab[0] in vault.notes:
            tabs.append((tab[0], tab[1]))
    active = window.get("active", "")
    vault.window = Window(tuple(tabs), active if active in {path for path, _ in tabs} else "")


def _note(vault: Vault, path: str, note: Any) -> Note:
    if isinstance(note, str):
        note = {"text": note}
    where = f"notes: {path}"
    check_keys(note, ("text", "base64", "created", "modified"), where)
    # Times that differ from note to note, so that "newest first" has an order.
    digest = hashlib.sha256(f"{vault.seed}/{path}".encode()).digest()
    created = vault.now - HOUR - int.from_bytes(digest[:8], "big") % (90 * DAY)
    if "created" in note:
        created = time_of(note["created"], where)
    modified = created + int.from_bytes(digest[8:16], "big") % max(vault.now - created, 1)
    if "modified" in note:
        modified = time_of(note["modified"], where)
    data = None
    if "base64" in note:
        try:
            data = base64.b64decode(note["base64"], validate=True)
        except (binascii.Error, ValueError, TypeError):
            raise CannotRun(f"fixture: {where}: base64 is not valid.") from None
    return Note(typed(note.get("text", ""), str, where), created, modified, data)


def _note_to_dict(note: Note) -> dict:
    body = {"text": note.text} if note.data is None else {"base64": base64.b64encode(note.data).decode()}
    return {**body, "created": note.created, "modified": note.modified}


def _workflow(flow: Any, where: str) -> dict:
    """A workflow as it is stored: a list of steps becomes one text, a step a line."""
    check_keys(flow, ("name", "when", "steps"), f"{where}: workflows")
    steps = flow.get("steps", "")
    return {
        "name": flow.get("name", ""),
        "when": flow.get("when", ""),
        "steps": "\n".join(map(str, steps)) if isinstance(steps, list) else steps,
    }


def _add(records: dict, record: Any, where: str) -> None:
    if record.id in records:
        raise CannotRun(f"fixture: {where}: the id '{record.id}' is used twice.")
    records[record.id] = record


def _find(records: dict, name_or_id: Any, where: str) -> str:
    if isinstance(name_or_id, str) and name_or_id in records:
        return name_or_id
    found = [record.id for record in records.values() if record.name == name_or_id]
    if len(found) != 1:
        raise CannotRun(f"fixture: {where}: {len(found)} entries are called '{name_or_id}'; name one, or give its id.")
    return found[0]


def _path(path: Any, where: str) -> str:
    try:
        return clean(typed(path, str, where))
    except ToolError as fault:
        raise CannotRun(f"fixture: {where}: {fault.text}.") from None
