"""Valid rows to plant faults in: the call that is spoilt, and the row written again around it."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from lib.call_text import Call, Result, Text, dump_arguments
from lib.chat import Example, Turn, to_native_row, to_text_row
from lib.json_text import dump_json
from lib.mutants.places import Place, places
from lib.toolset import Tool, Toolset


@dataclass(frozen=True, eq=False)
class Seed:
    """A valid example of one user's and one assistant's turn, and the place of an answered call in the latter."""

    example: Example
    part: int
    tool: Tool
    toolset: Toolset

    @property
    def call(self) -> Call:
        return self.parts[self.part]

    @property
    def parts(self) -> tuple:
        return self.example.turns[-1].parts

    @property
    def arguments(self) -> dict:
        return self.call.arguments

    @cached_property
    def written(self) -> str:
        """The arguments as JSON text."""
        return dump_arguments(self.arguments)

    @cached_property
    def result(self) -> dict:
        """What the call's result holds."""
        return self.parts[self.part + 1].content

    @cached_property
    def places(self) -> list[Place]:
        """Every place in the arguments but context; optional parameters are put in where they are absent."""
        return list(places(self.tool, self.arguments, self.toolset))

    def answered(self, *parts) -> Example:
        """The example with these parts as the assistant's turn."""
        return replace(self.example, turns=(*self.example.turns[:-1], Turn("assistant", tuple(parts))))

    def with_call(self, call: Call) -> Example:
        return self.answered(*self.parts[: self.part], call, *self.parts[self.part + 1 :])

    def with_arguments(self, arguments: dict) -> Example:
        return self.with_call(replace(self.call, arguments=arguments))

    def with_context(self, **changes) -> Example:
        return self.with_arguments({**self.arguments, "context": {**self.arguments["context"], **changes}})

    def with_written(self, *texts: str) -> Iterator[Example]:
        """One example for each text, which stands for the arguments just as it is."""
        for text in texts:
            yield self.with_call(Call(self.call.name, {}, "", text))

    def with_result(self, *texts: str) -> Iterator[Example]:
        """One example for each text, which stands for the result just as it is."""
        for text in texts:
            yield self.answered(*self.parts[: self.part + 1], Result(None, text), *self.parts[self.part + 2 :])

    def rows(self) -> list[dict]:
        """The row in both forms, made anew."""
        return [to_text_row(self.example), to_native_row(self.example)]

    @cached_property
    def lines(self) -> list[bytes]:
        """The row as a line in both forms."""
        return [line_of(row) for row in self.rows()]


def line_of(row: Any) -> bytes:
    """A row as a line of a file, its end left out."""
    return dump_json(row).encode()


def lines_of(mutant: Example | Any | bytes) -> list[bytes]:
    """The lines that hold a mutant: an example in both forms, a row or a line as it is."""
    if isinstance(mutant, bytes):
        return [mutant]
    if isinstance(mutant, Example):
        return [line_of(to_text_row(mutant)), line_of(to_native_row(mutant))]
    return [line_of(mutant)]


def seed_of(example: Example, tool: str, toolset: Toolset) -> Seed | None:
    """A seed when the example, a good one, asks once and calls the tool with an answer and words after it."""
    if example.label is False or [turn.role for turn in example.turns] != ["user", "assistant"]:
        return None
    parts = example.turns[-1].parts
    for at in range(len(parts) - 2):
        call, result, words = parts[at : at + 3]
        kinds = (type(call), type(result), type(words)) == (Call, Result, Text)
        if kinds and call.name == tool and result.content.get("success") is True:
            return Seed(replace(example, label=True), at, toolset.tools[tool], toolset)
    return None


def choose_seeds(examples: Iterable[Example], toolset: Toolset, count: int) -> dict[str, list[Seed]]:
    """For every tool its first `count` seeds; fewer where the examples hold no more."""
    chosen: dict[str, list[Seed]] = {name: [] for name in toolset.tools}
    for example in examples:
        for name in dict.fromkeys(call.name for call in example.calls):
            if len(chosen.get(name, range(count))) < count:
                seed = seed_of(example, name, toolset)
                chosen[name] += [seed] if seed else []
    return chosen
