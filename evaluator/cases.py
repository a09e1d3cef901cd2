"""Prompt sets: JSON Lines, one case a line, each with its vault and the calls that would be right."""

import json
import re
from collections import Counter
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from evaluator.bfcl import Question, is_question, question_from_row, read_answers
from evaluator.values import MODES, fault_of
from lib.errors import CannotRun
from lib.jsonl import read_rows
from lib.toolset import Toolset
from lib.vault import Vault
from lib.vault.execute import TOOLS as SIMULATED

PROMPTS = Path(__file__).parent / "prompts"
KEYS = {"id", "question", "tags", "tools", "arguments", "vault", "gold", "goal", "grade", "alternatives", "replies"}
GRADES = ("calls", "state")
# What a goal may demand (evaluator/goals.py and evaluator/reply_goals.py judge it), and the JSON that says it.
GOALS: dict[str, tuple[type, ...]] = {
    "exists": (list,),  # paths that are there at the end
    "missing": (list,),  # paths that are not
    "contains": (dict,),  # path -> what the note says
    "lacks": (dict,),  # path -> what it does not say
    "state": (str,),  # "free": the end state is not compared with the gold plan's
    "free": (dict,),  # note or part.field whose text is the model's own -> the words it must hold
    "never": (list,),  # tools that must not be called
    "looks": (list,),  # some call must name one of these (a tool or an argument), whether or not it finds anything
    "found": (list,),  # what results must show before anything is changed
    "answers": (list,),  # what the results must show and the reply must say
    "reply": (list,),  # what the reply must say
    "unsaid": (list,),  # what it must not say
    "asks": (bool, list),  # it must ask back, by one of these words
    "refuses": (bool,),  # it must say that this cannot be done
    "denies": (bool,),  # it must say that there is no such thing
}
NESTED_GOALS = {key: ["all", ["of", "or"]] for key in ("found", "answers", "reply")}  # alternatives in brackets
TOLD_GOALS = {"reply", "unsaid", "asks", "refuses", "denies"}  # what the reply alone decides
PLAN_WORDS = "a list of calls, each with name and arguments"
SHAPES = {
    "tags": (list, str, "a list of texts"),
    "tools": (list, str, "a list of names"),
    "arguments": (list, dict, "a list with an object for each call: what is accepted for its parameters"),
    "gold": (list, dict, PLAN_WORDS),
    "alternatives": (list, list, "a list of plans like gold"),
    "goal": (dict, str, "an object"),
    "replies": (dict, str, "an object with texts under right and wrong"),
}
_REFERENCE = re.compile(r"\$\{(\d+)\.([\w.]+)\}")


@dataclass(frozen=True)
class Case:
    """One question and what a right answer does.

    tools: names in the order they must be called; arguments: per call, what is accepted for each parameter;
    gold: calls (without context) that reach the goal; vault: the fixture they run on. grade "state": any calls will do
    that leave the vault as gold, or one of the alternatives, leaves it. replies: closing words that are "right" and
    "wrong" beside the gold calls, for the lint.
    """

    id: str
    question: str
    prompt_set: str = ""
    tags: tuple[str, ...] = ()
    tools: tuple[str, ...] = ()
    arguments: tuple[dict, ...] = ()
    gold: tuple[dict, ...] = ()
    goal: dict = field(default_factory=dict)
    vault: dict = field(default_factory=dict)
    grade: str = "calls"
    alternatives: tuple[tuple[dict, ...], ...] = ()
    replies: dict = field(default_factory=dict)

    functions = ()  # the tools of this case alone; none, so those of the run are offered

    @property
    def runs(self) -> bool:
        """Whether its calls are run: without vault and gold plan they are held to schema and arguments alone."""
        return bool(self.vault or self.gold)

    @property
    def by_state(self) -> bool:
        """Whether the end state decides, whatever calls led there."""
        return self.grade == "state"

    @property
    def plans(self) -> tuple[tuple[dict, ...], ...]:
        """The gold plan and its alternatives."""
        return (self.gold, *self.alternatives)

    @property
    def minimum(self) -> int:
        """The fewest calls that are known to do."""
        return min(map(len, self.plans)) if self.gold else len(self.tools)

    @property
    def messages(self) -> list[dict]:
        """What the model is sent."""
        return [{"role": "user", "content": self.question}]

    @cached_property
    def _start(self) -> Vault:
        return Vault.from_dict(self.vault)

    def fresh_vault(self) -> Vault:
        """The vault as the case finds it, to be changed at will."""
        return self._start.clone()

    def accepted(self, index: int) -> dict:
        """What call `index` may hold: the gold arguments, each replaced by its own rule where the case has one.

        A rule for "id|name" holds for either parameter, of which one at least must be there.
        """
        rules = self.arguments[index] if index < len(self.arguments) else {}
        ruled = {name for key in rules for name in key.split("|")}
        gold = self.gold[index]["arguments"] if index < len(self.gold) else {}
        return {**{name: value for name, value in gold.items() if name not in ruled}, **rules}


def load_cases(
    names: list[str], toolset: Toolset, limit: int | None = None, answers: Path | None = None
) -> list[Case | Question]:
    """The cases of the named sets (or files), in order; a fault in a file is refused with its line.

    answers: the file of BFCL's possible answers, where they do not lie beside the questions.
    """
    cases: list[Case | Question] = []
    for name in names:
        path = Path(name) if name.endswith((".jsonl", ".json")) else PROMPTS / f"{name}.jsonl"
        if not path.is_file():
            known = ", ".join(sorted(found.stem for found in PROMPTS.glob("*.jsonl")))
            raise CannotRun(f"No prompt set {name}. There are: {known}; or give a file that ends in .jsonl or .json.")
        fixtures: dict[str, dict] = {}
        truths = None
        for line, row in read_rows(path):
            try:
                if is_question(row):
                    truths = truths or read_answers(path, answers)
                    cases.append(question_from_row(row, path, truths))
                    continue
                _check_shape(row)
                cases.append(case_from_row(row, path, fixtures, toolset))
                _check_runs(cases[-1], toolset)
            except ValueError as error:
                raise CannotRun(f"{path}:{line}: {error}") from None
    twice = [name for name, count in Counter(case.id for case in cases).items() if count > 1]
    if twice:
        raise CannotRun(f"These case ids occur twice: {', '.join(sorted(twice))}.")
    return cases[:limit]


def case_from_row(row: dict, path: Path, fixtures: dict[str, dict], toolset: Toolset) -> Case:
    """The case of one line; ValueError says what is wrong with it."""
    if unknown := row.keys() - KEYS:
        raise ValueError(f"unknown keys: {', '.join(sorted(unknown))}")
    for key in ("id", "question"):
        if not isinstance(row.get(key), str) or not row[key].strip():
            raise ValueError(f"{key} must be a text")
    gold = row.get("gold", [])
    tools = row.get("tools", [call["name"] for call in gold])
    if gold and tools != [call["name"] for call in gold]:
        raise ValueError(f"tools are {tools}, the gold plan calls {[call['name'] for call in gold]}")
    if unknown := [name for name in tools if name not in toolset.tools]:
        raise ValueError(f"unknown tools: {', '.join(unknown)}")
    _check_goal(row.get("goal", {}))
    arguments = row.get("arguments", [])
    if len(arguments) > len(tools):
        raise ValueError(f"rules for {len(arguments)} calls, but {len(tools)} tools")
    for rules in arguments:
        _check_rules(rules)
    return Case(
        id=row["id"],
        question=row["question"],
        prompt_set=path.stem,
        tags=tuple(row.get("tags", [])),
        tools=tuple(tools),
        arguments=tuple(arguments),
        gold=tuple(gold),
        goal=row.get("goal", {}),
        vault=_fixture(row.get("vault", {}), path, fixtures),
        grade=row.get("grade", "calls"),
        alternatives=tuple(map(tuple, row.get("alternatives", []))),
        replies=row.get("replies", {}),
    )


def _check_shape(row: dict) -> None:
    """ValueError when a key holds another kind of JSON than it should."""
    for key, (kind, each, words) in SHAPES.items():
        value = row.get(key, kind())
        if not isinstance(value, kind) or not all(isinstance(item, each) for item in value):
            raise ValueError(f"{key} must be {words}")
    for key, plan in [("gold", row.get("gold", [])), *(("alternatives", plan) for plan in row.get("alternatives", []))]:
        for call in plan:
            call = call if isinstance(call, dict) else {}
            if not isinstance(call.get("name"), str) or not isinstance(call.get("arguments"), dict):
                raise ValueError(f"{key} must be {SHAPES[key][2]}")
    replies = row.get("replies", {})
    if replies.keys() - {"right", "wrong"} or not all(
        type(texts) is list and _is_texts(texts, False) for texts in replies.values()
    ):
        raise ValueError(f"replies must be {SHAPES['replies'][2]}")
    if row.get("grade", "calls") not in GRADES:
        raise ValueError(f"grade must be one of {', '.join(GRADES)}")


def _check_goal(goal: dict) -> None:
    for key, value in goal.items():
        if key not in GOALS:
            raise ValueError(f"unknown goal {key}; there are {', '.join(GOALS)}")
        if type(value) not in GOALS[key] or not _is_texts(value, nested=key in NESTED_GOALS):
            like = json.dumps(NESTED_GOALS.get(key) or [kind() for kind in GOALS[key]][-1])
            raise ValueError(f"the goal {key} must be JSON like {like}")


def _is_texts(value: Any, nested: bool) -> bool:
    """Whether a goal holds nothing but texts, in lists or objects; nested: a text in a list may be a list of them."""
    if isinstance(value, dict):
        return all(isinstance(part, str) or isinstance(part, list) and _is_texts(part, True) for part in value.values())
    if isinstance(value, list):
        return all(
            isinstance(part, str) or nested and isinstance(part, list) and _is_texts(part, False) for part in value
        )
    return True


def _check_runs(case: Case, toolset: Toolset) -> None:
    """ValueError when a case wants its calls run that cannot be run, or judges a vault that it does not have."""
    named = [call["name"] for plan in case.alternatives for call in plan]
    if unknown := [name for name in named if name not in toolset.tools]:
        raise ValueError(f"unknown tools in the alternatives: {', '.join(unknown)}")
    foreign = [name for name in (*case.tools, *named) if toolset.tools[name].foreign or name not in SIMULATED]
    if case.runs and foreign:
        raise ValueError(f"{foreign[0]} cannot be run here; leave vault and gold out: calls are then only compared")
    if not case.runs and (goals := case.goal.keys() - TOLD_GOALS):
        raise ValueError(f"without a vault nothing decides the goals {', '.join(sorted(goals))}")
    if case.by_state and not case.vault:
        raise ValueError("grade state needs a vault: without one there is no state")
    if case.by_state and case.arguments:
        raise ValueError("with grade state arguments are not judged; say with goal.free which texts may differ")
    if not case.by_state and (case.alternatives or case.goal.get("free")):
        raise ValueError("alternatives and goal.free need grade state")
    try:
        case.fresh_vault()
    except CannotRun as error:
        raise ValueError(error.message) from None


def _check_rules(rules: dict) -> None:
    for name, rule in rules.items():
        if isinstance(rule, dict) and not rule.keys() & MODES:
            raise ValueError(f"the rule for {name} has none of the modes {', '.join(sorted(MODES))}")
        if fault := fault_of(rule):
            raise ValueError(f"the rule for {name}: {fault}")


def _fixture(vault: str | dict, path: Path, fixtures: dict[str, dict]) -> dict:
    """The inline fixture, or the named file beside the prompt set (else among ours)."""
    if isinstance(vault, dict):
        return vault
    if vault not in fixtures:
        places = [folder / "fixtures" / f"{vault}.json" for folder in (path.parent, PROMPTS)]
        found = next((place for place in places if place.is_file()), None)
        if not found:
            raise ValueError(f"no fixture {vault}: looked for {places[0]}")
        fixtures[vault] = json.loads(found.read_text(encoding="utf-8"))
    return fixtures[vault]


def filled(value: Any, results: list[dict | None]) -> Any:
    """The value with each `${2.data.id}` replaced by that field of the second call's result; as it stands if absent."""
    if isinstance(value, dict):
        return {key: filled(item, results) for key, item in value.items()}
    if isinstance(value, list):
        return [filled(item, results) for item in value]
    if isinstance(value, str):
        return _REFERENCE.sub(lambda match: _looked_up(match, results), value)
    return value


def _looked_up(match: re.Match, results: list[dict | None]) -> str:
    index = int(match[1]) - 1
    found: Any = results[index] if index < len(results) else None
    for key in match[2].split("."):
        if isinstance(found, list) and key.isdigit() and int(key) < len(found):
            found = found[int(key)]
        else:
            found = found.get(key) if isinstance(found, dict) else None
    return found if isinstance(found, str) else match[0]
