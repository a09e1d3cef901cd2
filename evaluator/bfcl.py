"""Single-turn questions in BFCL's form, each with functions of its own, and the file of their possible answers.

    {"id", "question": [[{"role": "user", "content"}]], "function": [{"name", "description", "parameters"}]}
    {"id", "ground_truth": [{name: {parameter: [accepted values]}}]}

The answers stand in the row itself (`ground_truth`), in the file named with --answers, or in possible_answer/ beside
the questions. A file whose name speaks of irrelevance has none: no call is wanted. Dots in names become underscores, in
questions and answers alike: servers refuse them.
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from evaluator.argument_cases import ArgumentCase, case_from_row
from evaluator.own_tools import tool_from_entry
from lib import importing
from lib.errors import CannotRun
from lib.vault import Vault

KEYS = {"id", "question", "function", "ground_truth"}


@dataclass(frozen=True)
class Question:
    """One question; it is asked with `functions` in place of the run's tools, and its calls are not run.

    wanted: {"id", "tools", "expected"} for the argument checker.
    """

    id: str
    question: str
    prompt_set: str
    system: str
    functions: tuple[dict, ...]  # as OpenAI writes them
    wanted: dict

    tags = ()
    runs = False  # whether calls are run in the vault

    @property
    def tools(self) -> tuple[str, ...]:
        """The tools that should be called."""
        return tuple(name for call in self.wanted["expected"] for name in call)

    @property
    def messages(self) -> list[dict]:
        """What the model is sent."""
        system = [{"role": "system", "content": self.system}] if self.system else []
        return [*system, {"role": "user", "content": self.question}]

    @cached_property
    def argument_case(self) -> ArgumentCase:
        """What the argument checker judges by, without calls."""
        return case_from_row({**self.wanted, "calls": []})

    def fresh_vault(self) -> Vault:
        """An empty vault: nothing is run in it."""
        return Vault.from_dict({})


def is_question(row: dict) -> bool:
    return "function" in row and isinstance(row.get("question"), list)


def read_answers(questions: Path, given: Path | None = None) -> tuple[dict[str, Any], Path]:
    """(id -> ground truth, the file looked for); empty when nothing was named and there is none beside."""
    place = given or questions.parent / "possible_answer" / questions.name
    if not place.is_file():
        if given:
            raise CannotRun(f"{given}: no such file of answers.")
        return {}, place
    return importing.read_answers(place), place


def question_from_row(row: dict, path: Path, answers: tuple[dict[str, Any], Path]) -> Question:
    """The question of one line; ValueError says what is wrong with it."""
    if not isinstance(row.get("id"), str | int) or not str(row["id"]).strip():
        raise ValueError("id must be a text")
    case_id = str(row["id"])
    system, asked = _messages(row["question"])
    functions = row["function"] if isinstance(row["function"], list) else [row["function"]]
    tools = []
    for number, function in enumerate(functions):
        tool = _tool(function, f"function[{number}]")
        if any(tool["name"] == other["name"] for other in tools):
            raise ValueError(f"function[{number}]: the name {tool['name']} is used twice")
        tools.append(tool)
    truths, place = answers
    expected = row.get("ground_truth", truths.get(case_id))
    if expected is None and "irrelevance" in path.stem:
        expected = []
    if expected is None:
        raise ValueError(f"no answer to {case_id}: the row has no ground_truth, nor has {place}; name it: --answers")
    if not isinstance(expected, list) or not all(isinstance(call, dict) for call in expected):
        raise ValueError(f"the answer to {case_id} must be a list of {{name: {{parameter: [accepted values]}}}}")
    expected = [{_undotted(name): accepted for name, accepted in call.items()} for call in expected]
    shown = tuple({"type": "function", "function": tool} for tool in tools)
    made = Question(case_id, asked, path.stem, system, shown, {"id": case_id, "tools": tools, "expected": expected})
    _ = made.argument_case  # a fault in it is told now
    return made


def _messages(question: list) -> tuple[str, str]:
    """(system message, request) of a question's only turn."""
    turns = question if question and isinstance(question[0], list) else [question]
    if len(turns) != 1:
        raise ValueError(f"a conversation of {len(turns)} turns; only questions of a single turn can be judged")
    messages = turns[0]
    if not all(isinstance(message, dict) and isinstance(message.get("content"), str) for message in messages):
        raise ValueError("question must hold messages with role and content")
    roles = [message.get("role") for message in messages]
    if roles not in (["user"], ["system", "user"]):
        raise ValueError(f"question must be one user message, perhaps behind a system message, not {roles}")
    return "" if len(messages) == 1 else messages[0]["content"], messages[-1]["content"]


def _tool(function: Any, where: str) -> dict:
    try:
        tool = tool_from_entry(function, where)
    except CannotRun as error:
        raise ValueError(error.message.rstrip(".")) from None
    return {"name": _undotted(tool.name), "description": tool.description, "parameters": tool.parameters}


def _undotted(name: str) -> str:
    return name.replace(".", "_")
