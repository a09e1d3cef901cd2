"""What a teacher is asked for: each row's tool, vault, kind of answer and way of speaking, by number and seed alone."""

from collections import Counter
from dataclasses import dataclass, field

from lib.synth.material import ACTS
from lib.synth.seeds import digest, generator
from lib.synth.worlds import Expanded

SHARES = {"lookup": 0.18, "repair": 0.10, "ask": 0.12, "cannot": 0.06, "direct": 0.06}  # of all rows; the others act
RELATED = 5  # other tools shown beside the one a row is about


@dataclass(frozen=True)
class Task:
    """One row to be written."""

    number: int
    kind: str  # as in lib.synth.material.KINDS
    act: str
    tool: str  # "" where no tool fits
    related: tuple[str, ...]
    theme: str
    focus: str  # a note that the row may be about
    expanded: Expanded = field(repr=False)
    key: tuple = ()  # what every random choice about the row starts from

    @property
    def seed(self) -> int:
        """The seed the teacher is given, another one for each row."""
        return int(digest(*self.key, length=7), 16)


def related_tools(tool, material, toolset) -> tuple[str, ...]:
    """Tools that belong beside one: planned together with it, then those its agent's tools are looked up with."""
    score = Counter()
    for intent in material.intents:
        planned = {step["tool"] for step in intent.plan if step["tool"] in toolset.tools}
        agents = {toolset.tools[name].agent for name in planned}
        for other in planned:
            score[other] += 100 * (tool in planned)
            score[other] += toolset.tools[tool].agent in agents and toolset.tools[other].effect == "read"
    ranked = sorted(score, key=lambda name: (-score[name], name))
    return tuple(name for name in ranked if name != tool and score[name])[:RELATED]


def choose_kind(rng, has_needs) -> str:
    """A kind of answer by its share; a tool that needs nothing leaves nothing to look up, mistake or ask."""
    place = rng.random()
    for kind, share in SHARES.items():
        if place < share:
            return kind if kind in ("cannot", "direct") or has_needs else "act"
        place -= share
    return "act"


def make_tasks(worlds, toolset, tools, count, seed) -> list[Task]:
    """Tasks 0 to count-1; a task does not depend on the count, so that more rows keep the first ones."""
    material = worlds.material
    names = generator("taught tools", seed).sample(sorted(tools), len(tools))
    related = {name: related_tools(name, material, toolset) for name in names}
    tasks = []
    for number in range(count):
        key = ("taught", seed, number)
        rng = generator(*key)
        tool = names[number % len(names)]
        parameters = toolset.tools[tool].parameters
        needs = "anyOf" in parameters or set(parameters.get("required", ())) - {"context"}
        kind = choose_kind(rng, bool(needs and related[tool]))
        act = rng.choice(ACTS)
        expanded = worlds.get(rng.choice(sorted(material.worlds)), rng.randrange(worlds.seeds))
        theme = rng.choice(expanded.themes or (expanded.about or "Working in the vault",))
        focus = rng.choice(sorted(expanded.vault.notes))
        if kind in ("cannot", "direct"):
            tool = ""
        tasks.append(Task(number, kind, act, tool, related.get(tool, ()), theme, focus, expanded, key))
    return tasks
