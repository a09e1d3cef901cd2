"""A small world and intents for the generator's tests, written as a contributor would write them."""

import textwrap

import yaml

from lib.synth.build import make_candidates
from lib.synth.material import Material, read_intent, read_intents, read_world
from lib.synth.workshop import Funnel

TRIED = 12  # candidates of each intent

WORLD = """
about: A person with a boat
now: 2025-06-01T08:00:00Z
vary: {crew: [Ada, Ben]}
notes:
  Boat/Log.md: |
    # Log
    Fuel: half
    Crew: <crew>
  Boat/Log 2024.md: |
    # Log 2024
    Fuel: full
  Boat/Jobs.md: |
    - [ ] paint hull
    - [ ] oil winch
    - [x] new rope
sometimes:
  Harbour/Prices.md: |
    Berth 14 a night
folders: [Archive]
agents:
  - {name: Tide reader, description: Reads tide tables, prompt: Give the next high tide., isEnabled: true}
themes: [Getting the boat ready, Spring jobs on board, Keeping the log]
banks:
  additions:
    - {note: Boat/Log.md, line: Oil changed at 340 hours}
    - {note: Boat/Jobs.md, line: "- [ ] check the <crew> harness"}
    - {note: Harbour/Prices.md, line: Water is free}
  edits:
    - {note: Boat/Log.md, old: "Fuel: half", new: "Fuel: full"}
  moves:
    - {note: Boat/Log 2024.md, to: Archive/Log 2024.md, why: the year is over}
    - {note: Boat/Jobs.md, to: Archive/Jobs.md, why: all is done}
  questions:
    - {note: Boat/Log.md, ask: how much fuel is left, answer: "Fuel: half"}
"""

APPEND = """
id: append-line
slots: {add: additions}
plan:
  - tool: contentManager_appendContent
    with: {filePath: "{add.note.path}", content: "\\n{add.line}"}
goal: {ends: ["{add.note.path}", "{add.line}"]}
asks:
  order: ['Add "{add.line}" to {add.note.path}.', 'Write {add.line} under {add.note.path}.']
  messy: ['put {add.line} in {add.note.path}']
closes:
  - '{result.data.filePath} has the line now.'
  - 'Added {result.data.appendedLength} characters.'
  - 'It is in {add.note.path}.'
context:
  goal: ['Keep {add.note.title} current']
  subgoal: ['Append one line']
  why: ['The line goes at the end']
  memory: ['User dictated a line for {add.note.title}']
wrong:
  - {reason: wrong-tool, tool: contentManager_prependContent}
"""

MOVE = """
id: move-note
slots: {move: moves}
plan:
  - tool: vaultManager_moveNote
    with: {path: "{move.note.path}", newPath: "{move.to}"}
goal: [{exists: "{move.to}"}, {gone: "{move.note.path}"}]
asks:
  order: ['Move {move.note.path} to {move.to}.', 'File {move.note.path} as {move.to}, {move.why}.']
closes: ['Moved to {result.newPath}.', '{move.note.title} is at {move.to} now.']
context: {goal: ['Tidy {move.note.folder}'], subgoal: ['Move one note'], memory: ['User named both paths']}
"""

LOOK_UP = """
id: switch-agent
kind: lookup
slots: {who: {agent: {enabled: true}}}
plan:
  - tool: agentManager_listAgents
    with: {}
  - tool: agentManager_toggleAgent
    with: {id: "{who.id}"}
goal: {agent: {name: "{who.name}", isEnabled: false}}
asks:
  order: ['Switch {who.name} off.', 'Turn the agent {who.name} off.']
closes: ['{who.name} is off.', '{result.data.name} is disabled now.']
context: {goal: ['Silence {who.name}'], subgoal: ['Disable the agent'], memory: ['User wants {who.name} off']}
"""

READ = """
id: answer-from-note
slots: {q: questions}
plan:
  - tool: contentManager_readContent
    with: {filePath: "{q.note.path}"}
goal: {shows: "{q.answer}"}
asks:
  question: ['What does {q.note.path} say about {q.ask}?', 'Look at {q.note.path}: {q.ask}?']
closes: ['It says "{q.answer}".', '{q.note.title} has: {q.answer}']
context: {goal: ['Answer from {q.note.title}'], subgoal: ['Read the note'], memory: ['User asks {q.ask}']}
"""

TWINS = """
- id: line-to-add
  twin: line-unless-there
  kind: lookup
  slots: {add: additions}
  plan:
    - as: text
      tool: contentManager_readContent
      with: {filePath: "{add.note.path}"}
    - tool: contentManager_appendContent
      with: {filePath: "{add.note.path}", content: "\\n{add.line}"}
      memory: The line is missing
      why: The line is not there yet
  goal: {ends: ["{add.note.path}", "{add.line}"]}
  asks:
    order: ['See that {add.note.path} has the line {add.line}.', 'If {add.note.path} lacks "{add.line}", add it.']
    short: ['{add.note.path}: "{add.line}", unless there']
  closes: ['{add.note.path} has it now.', 'Added, it was missing.']
  context: {goal: ['Complete {add.note.title}'], subgoal: ['Check'], why: ['Look first'], memory: ['Line given']}
- id: line-that-is-there
  twin: line-unless-there
  kind: direct
  given: {with: {"{add.note.path}": "{add.note.text}\\n{add.line}"}}
  plan:
    - as: text
      tool: contentManager_readContent
      with: {filePath: "{add.note.path}"}
  goal: {shows: "{add.line}"}
  closes: ['{add.note.path} has it already.', 'Nothing to do, it is there.']
"""

QUOTAS = {
    "positives": 12, "overgenerate": 4, "seeds": 4, "max_characters": 2600,
    "shapes": {"single": 0.75, "lookup": 0.25}, "kto_shapes": {"single": 0.75, "lookup": 0.25},
    "caps": {"frame": 9, "value": 9, "world_share": 1}, "paired_share": 0.6,
    "negatives": {"schema": 20, "world": 46, "process": 14, "decision": 10, "honesty": 10},
}  # fmt: skip
WORDS = {
    "failures": {"admit": ["That failed: {error}."]},
    "history": {"failed": ["{mode} failed: {result.error}"]},
    "extras": {"vaultManager_openNote": ["It is on screen now."]},
    "needless": {
        "ask": {"any": ["Do you mean {target}?"]},
        "refuse": {"any": ["I cannot touch {target}."]},
        "ask_direct": ["Which note is it in?"],
        "refuse_direct": ["I cannot say."],
        "done": ["That is done."],
    },
}


def world(folder, text=WORLD):
    path = folder / "boat.yaml"
    path.write_text(textwrap.dedent(text), encoding="utf-8")
    return read_world(path)


def intent(text, **changes):
    return read_intent(yaml.safe_load(text) | changes, "test.yaml")


def twins(folder, text=TWINS):
    """The two intents of the twin, read from a file."""
    path = folder / "twins.yaml"
    path.write_text(text, encoding="utf-8")
    return tuple(read_intents(path))


def material(folder, *intents, quotas=None):
    intents = intents or tuple(map(intent, (APPEND, MOVE, LOOK_UP, READ)))
    return Material({"boat": world(folder)}, tuple(intents), WORDS, {**QUOTAS, **(quotas or {})})


def candidates(folder, *intents, **quotas):
    """(candidates, funnel) of the kit's world."""
    funnel = Funnel()
    return make_candidates(material(folder, *intents, quotas=quotas), funnel, TRIED), funnel
