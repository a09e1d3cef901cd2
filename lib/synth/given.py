"""What an intent changes in a vault before its run: notes, folders, agents and more that its twin has or lacks."""

from dataclasses import replace

from lib.synth.seeds import generator, stamp_id
from lib.synth.templates import Gap, fill, fill_text, plain
from lib.synth.worlds import DAY_MS, dated_notes
from lib.vault.files import make_folder, make_parents, remove
from lib.vault.state import Agent, Note

MADE_BEFORE = 40 * DAY_MS  # the age of an agent that is there from the start
AGENT_FIELDS = {"description": "description", "prompt": "prompt", "isEnabled": "is_enabled"}


def fill_given(given, scope):
    """The changes as plain JSON, placeholders filled in keys too; raises Gap as templates do."""
    return {
        part: {fill_text(key, scope): plain(fill(item, scope)) for key, item in value.items()}
        if isinstance(value, dict)
        else plain(fill(value, scope))
        for part, value in given.items()
    }


def changed_vault(vault, given):
    """A clone of the vault with the filled changes made; raises Gap when one of them finds nothing to change."""
    changed = vault.clone()
    for name in given.get("without", ()):
        take_away(changed, name)
    for path, text in given.get("with", {}).items():
        put(changed, path, text)
    for path, (old, new) in given.get("swap", {}).items():
        note = changed.notes.get(path)
        if note is None or old not in note.text:
            raise Gap(f"given: {old!r} in {path}")
        changed.notes[path] = replace(note, text=note.text.replace(old, new, 1).strip("\n"))
    for name, fields in given.get("agents", {}).items():
        set_agent(changed, name, {AGENT_FIELDS[key]: value for key, value in fields.items()})
    return changed


def take_away(vault, name):
    """Removes a note or folder by its path, or an agent, state, session or command by its name."""
    if name in vault.notes or name in vault.folders:
        return remove(vault, name)
    for records in (vault.agents, vault.states, vault.sessions):
        found = [key for key, record in records.items() if record.name == name]
        if found and vault.current_session not in found:
            for key in found:
                del records[key]
            for kept in (vault.states, vault.traces):
                for key in [key for key, record in kept.items() if record.session_id in found]:
                    del kept[key]
            return None
    left = tuple(command for command in vault.commands if command.name != name)
    if left == vault.commands:
        raise Gap(f"given: no {name}")
    vault.commands = left
    return None


def put(vault, path, text):
    """Makes a note or gives one another text; a path that ends in a slash makes a folder."""
    if path.endswith("/"):
        make_folder(vault, path.rstrip("/"))
        return
    if path in vault.notes:
        vault.notes[path] = replace(vault.notes[path], text=text)
        return
    make_parents(vault, path)
    dated = dated_notes({path: text}, vault.now, generator("given", path))
    vault.notes[path] = Note(**dated[path])


def set_agent(vault, name, fields):
    """Sets fields of the agent with this name, or makes one."""
    known = next((agent for agent in vault.agents.values() if agent.name == name), None)
    if known is None:
        identity = stamp_id("prompt", vault.now - MADE_BEFORE, generator("given", name))
        known = Agent(identity, name, description="", prompt="")
    vault.agents[known.id] = replace(known, **fields)
