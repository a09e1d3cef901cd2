"""What the model can know: argument values and claims traced to the request and to earlier results."""

import re

from lib.chat import dump_arguments
from lib.synth.plans import leaves
from lib.toolset import load_toolset, without_context

NUMBERS = {
    0: "no none zero", 1: "a an one first single latest newest last once", 2: "two second both twice couple",
    3: "three third", 4: "four fourth", 5: "five fifth", 6: "six sixth", 7: "seven seventh", 8: "eight",
    9: "nine", 10: "ten tenth", 12: "twelve dozen", 15: "fifteen", 20: "twenty", 50: "fifty", 100: "hundred",
}  # fmt: skip
ID = re.compile(r"^(?:session|ws|state|prompt|trace)_\d{13}_[a-z0-9]{9}$")
NUMERAL = re.compile(r"(?<![\w.])\d+(?:\.\d+)?(?!\w)")
WORD = re.compile(r"\w+")
FILE = re.compile(r"([^\s\"'“”‘’(),;:]+)\.(?:md|png|jpe?g|webp|pdf|canvas)\b")  # its last word, without the extension
ENOUGH_WORDS = 0.8  # of the words of a text the model composed itself, how many must have been said


def plainly(text):
    """Lower-case text with single blanks, for comparison."""
    return " ".join(str(text).lower().split())


class Seen:
    """The text a model has before it: the request, then each result as it arrives."""

    def __init__(self, request, steps=()):
        self.text, self.words = "", set()
        self.hear(request)
        for step in steps:
            self.add(step.result)

    def hear(self, text):
        """Add what the user or a system message said."""
        self.text += ("\n" if self.text else "") + plainly(text)
        self.words |= set(WORD.findall(plainly(text)))

    def add(self, result):
        # Ids of the context are the host's: they appear in results but nobody asked for them.
        shown = {key: value for key, value in result.items() if key not in ("sessionId", "workspaceId")}
        self.hear("\n".join(str(leaf) for leaf in leaves(shown)) + "\n" + dump_arguments(shown))

    def holds(self, text):
        return plainly(text) in self.text

    def holds_word(self, word):
        stem = word[: max(4, len(word) - 2)]
        return word in self.words or (len(word) > 4 and any(known.startswith(stem) for known in self.words))

    def holds_number(self, number):
        if isinstance(number, float) and number.is_integer():
            number = int(number)
        spoken = NUMBERS.get(number, "").split()
        return str(number) in self.words or str(number) in self.text or any(word in self.words for word in spoken)

    def holds_path(self, path):
        """Whether every part of a path was said, with or without its extension."""
        parts = [part for part in path.split("/") if part]
        return all(self.holds(part) or self.holds(part.rpartition(".")[0] or part) for part in parts)

    def shows(self, text):
        """Whether a text was said, word for word, as a path by its parts, or in nearly all its words."""
        return (
            len(text) < 3 or self.holds(text) or ("/" in text and self.holds_path(text)) or self.holds_most_words(text)
        )

    def holds_most_words(self, text):
        words = [word for word in WORD.findall(plainly(text)) if len(word) > 3]
        return bool(words) and sum(map(self.holds_word, words)) >= ENOUGH_WORDS * len(words)


def declared(schema):
    """Every enum value, default and example in a schema."""
    if isinstance(schema, dict):
        for listed in ("enum", "examples"):
            yield from schema[listed] if isinstance(schema.get(listed), list) else ()
        if "const" in schema:
            yield schema["const"]
        if "default" in schema:
            yield schema["default"]
        for key, part in schema.items():
            if key != "context":
                yield from declared(part)
    elif isinstance(schema, list):
        for part in schema:
            yield from declared(part)


def known_by_heart(tool, toolset):
    """Values of a tool's arguments that its schema itself names, and the toolset's own names."""
    schema = toolset.tools[tool].parameters if tool in toolset.tools else {}
    return {str(value) for value in declared(schema)} | set(toolset.tools) | set(toolset.agents)


def untraceable(tool, arguments, seen):
    """The argument values that neither the request, nor an earlier result, nor the schema shows."""
    by_heart = known_by_heart(tool, load_toolset())
    lost = []
    for value in leaves(without_context(arguments)):
        if isinstance(value, bool) or str(value) in by_heart or value in ("", "/", "."):
            continue
        if isinstance(value, (int, float)):
            if not seen.holds_number(value):
                lost.append(value)
        elif not traceable_text(value, seen):
            lost.append(value)
    return lost


def traceable_text(value, seen):
    if seen.holds(value):
        return True
    if ID.match(value):
        return False
    if "/" in value and "\n" not in value and len(value) < 120 and seen.holds_path(value):
        return True
    if value.endswith(".md") and seen.holds(value.removesuffix(".md")):
        return True
    return seen.holds_most_words(value)


def invisible_values(request, steps):
    """The first call's values that could not be known at its time, over all calls of a run."""
    seen = Seen(request)
    for step in steps:
        lost = untraceable(step.tool, step.arguments, seen)
        if lost:
            return lost
        seen.add(step.result)
    return []


def unbacked_claims(answer, request, run):
    """Numbers and vault paths in an answer that neither the request nor a result shows."""
    seen = Seen(request, run.steps)
    paths = {*run.before.notes, *run.after.notes, *run.after.folders}
    lost = [path for path in sorted(paths) if "/" in path and path in answer and not seen.holds_path(path)]
    return lost + [number for number in NUMERAL.findall(answer) if not seen.holds(number)]


def unseen_names(answer, request, run):
    """Files, and names of more than one word (of notes, folders, agents and the like), that were not shown before."""
    seen = Seen(request, run.steps)
    vault = run.after
    records = (vault.workspaces, vault.sessions, vault.states, vault.agents)
    names = {path.rpartition("/")[2].removesuffix(".md") for path in [*run.before.notes, *vault.notes, *vault.folders]}
    names |= {record.name for records_of_kind in records for record in records_of_kind.values()}
    said = [name for name in sorted(names) if " " in name and name in answer] + FILE.findall(answer)
    return [name for name in said if not seen.holds(name)]
