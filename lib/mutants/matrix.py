"""The mutation matrix: every operator on every tool, how much of it the validator kills, and its false alarms.

A mutant is killed when one of the operator's codes is reported for it, as an error unless the operator says warning.
"""

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial

from lib.chat import Result, Text, Turn
from lib.mutants import arguments as args
from lib.mutants import json_faults as jsons
from lib.mutants import rows
from lib.mutants.seeds import Seed, lines_of

Check = Callable[[bytes], list]  # a line -> problems with code and severity
ENOUGH = 0.99  # the least share of its mutants that must be killed, for every operator


@dataclass(frozen=True)
class Operator:
    """One kind of fault: plant(seed) yields mutants; codes are the validator's words for it."""

    section: str
    name: str
    codes: frozenset[str]
    plant: Callable[[Seed], Iterator]
    severity: str = "error"

    def kills(self, problems: list) -> bool:
        return any(problem.code in self.codes and problem.severity == self.severity for problem in problems)


def _operators() -> Iterator[tuple]:
    """(section, name, code or codes, function, arguments...), and "warning" where that is the severity."""
    yield "call", "required parameter missing", "missing-required", partial(args.missing_required, nested=False)
    yield "call", "required parameter missing, nested", "missing-required", partial(args.missing_required, nested=True)
    yield "call", "none of the alternatives", "no-match", args.no_alternative
    yield "call", "unknown parameter", "unknown-parameter", partial(args.unknown_parameter, nested=False)
    yield "call", "unknown parameter, nested", "unknown-parameter", partial(args.unknown_parameter, nested=True)
    for kind in ("misspelt", "other agent", "other case", "mode alone", "invented"):
        yield "call", f"unknown tool, {kind}", "unknown-tool", partial(args.unknown_tool, kind=kind)
    for kind in args.KINDS:
        yield "call", f"wrong type, {kind}", "wrong-type", partial(args.wrong_type, kind=kind)
    yield "call", "fraction for an integer", "wrong-type", args.fraction
    yield "call", "no value of the enum", "bad-enum", partial(args.bad_enum, change=lambda value: f"no-{value}")
    yield "call", "enum in other case", "bad-enum", partial(args.bad_enum, change=str.upper)
    yield "call", "number too small", "out-of-range", partial(args.out_of_range, keyword="minimum", sign=-1)
    yield "call", "number too large", "out-of-range", partial(args.out_of_range, keyword="maximum", sign=1)
    yield "call", "empty text", "bad-length", partial(args.bad_length, keyword="minLength")
    yield "call", "text too long", "bad-length", partial(args.bad_length, keyword="maxLength")
    yield "call", "list too short", "bad-length", partial(args.bad_length, keyword="minItems")
    yield "call", "list too long", "bad-length", partial(args.bad_length, keyword="maxItems")
    yield "call", "malformed text", "bad-pattern", args.bad_pattern
    yield "context", "context missing", "context-missing", args.context_missing
    yield "context", "context not first", "context-not-first", args.context_not_first
    yield "context", "context no object", "context-wrong-type", args.context_no_object
    yield "context", "field missing", "context-missing-field", args.context_field_missing
    yield "context", "field no text", "context-wrong-type", args.context_field_no_text
    yield "context", "field empty", "bad-length", args.context_field_empty
    yield "context", "unknown field", "context-unknown-field", lambda seed: [seed.with_context(vaultPath="x")]
    yield "context", "memory empty", "empty-memory", lambda seed: [seed.with_context(sessionMemory="")]
    yield (
        "context",
        "memory blank",
        "empty-memory",
        lambda seed: [seed.with_context(sessionMemory=blank) for blank in (" ", "\n\t ", "\u3000", "\u00a0")],
    )
    for what in args.ID_FIELDS:
        for kind in args.IDS:
            yield "ids", f"{what}, {kind}", f"bad-{what.replace(' ', '-')}", partial(args.bad_id, what=what, kind=kind)
    for kind, paths in args.PATHS.items():
        yield "paths", f"path, {kind}", "path-escape", partial(args.path_escape, paths=paths)
    yield "JSON", "arguments truncated", "not-json", jsons.arguments_truncated
    for kind in ("trailing comma", "not a number", "no double quotes", "comment", "text after", "other type"):
        yield "JSON", f"arguments, {kind}", "not-json", partial(jsons.arguments_not_json, kind=kind)
    yield "JSON", "arguments as text", "not-json", partial(jsons.arguments_not_json, kind="text")
    yield "JSON", "arguments, deep nesting", "not-json", partial(jsons.arguments_not_json, kind="deep nesting")
    for kind in ("arguments", "context", "result"):
        yield "JSON", f"key twice in {kind}", "duplicate-key", partial(jsons.duplicate_key, kind=kind)
    yield "JSON", "raw control character", "raw-control", jsons.raw_control, "warning"
    yield "JSON", "half a character", "bad-encoding", jsons.half_character
    for kind in ("truncated", "list", "prose", "other type", "no success", "success no bool", "failed without error",
                 "error no text", "no JSON", "deep nesting"):  # fmt: skip
        yield "results", f"result, {kind}", "bad-result", partial(jsons.result_shape, kind=kind)
    yield "results", "result missing", "missing-result", jsons.result_missing
    yield "results", "two calls, one result", "missing-result", jsons.result_shared
    yield "results", "result before its call", "stray-result", jsons.result_first
    yield "results", "result twice", "stray-result", jsons.result_twice
    yield "results", "result of no call", "stray-result", jsons.result_of_no_call
    yield "results", "call that is none", "bad-call", jsons.call_broken
    yield "rows", "label no bool", "bad-label", rows.bad_label
    yield "rows", "unknown role", "unknown-role", rows.unknown_role
    yield "rows", "empty answer", "empty-answer", rows.empty_answer
    yield "rows", "empty question", "empty-prompt", rows.empty_prompt
    yield "rows", "roles swapped", "bad-order", rows.swapped_roles
    for kind in ("no user turn", "no answer", "user last", "two in a row", "system in the middle"):
        yield "rows", kind, "bad-order", partial(rows.wrong_order, kind=kind)
    yield "rows", "content no text", "bad-content", rows.bad_content
    yield "rows", "turn no object", "bad-turn", rows.bad_turn
    yield "rows", "no list of turns or tools", "bad-row", rows.bad_row
    yield "rows", "unknown key", "unknown-key", rows.unknown_key, "warning"
    yield "rows", "control character in words", "control-character", rows.control_character, "warning"
    yield "rows", "control character in arguments", "control-character", rows.control_in_arguments, "warning"
    yield "lines", "key twice in the row", "duplicate-key", rows.key_twice
    yield "lines", "not UTF-8", "bad-encoding", rows.bad_encoding
    for kind in ("truncated", "no object", "no JSON", "two rows", "deep nesting"):
        yield "lines", f"line, {kind}", "not-jsonl", partial(rows.bad_line, kind=kind)


OPERATORS = tuple(
    Operator(section, name, frozenset([code]), plant, *severity)
    for section, name, code, plant, *severity in _operators()
)


@dataclass
class Matrix:
    """Killed and planted mutants of each (operator, tool); survivors: the first few lines that got through."""

    cells: dict[tuple[str, str], list[int]] = field(default_factory=lambda: defaultdict(lambda: [0, 0]))
    survivors: list[tuple[str, str, bytes]] = field(default_factory=list)
    valid: int = 0  # valid rows checked
    alarms: list[tuple[str, bytes, list]] = field(default_factory=list)  # (variant, line, problems)

    def score(self, operator: str = "", tool: str = "") -> tuple[int, int]:
        """(killed, planted) over the cells of an operator, of a tool, or of all."""
        cells = [cell for (o, t), cell in self.cells.items() if operator in ("", o) and tool in ("", t)]
        return sum(killed for killed, _ in cells), sum(planted for _, planted in cells)

    def share(self, operator: str = "", tool: str = "") -> float | None:
        """The share that was killed, None where nothing could be planted."""
        killed, planted = self.score(operator, tool)
        return killed / planted if planted else None


def plant_all(matrix: Matrix, seed: Seed, check: Check, operators: Iterable[Operator] = OPERATORS) -> None:
    """Count every operator's mutants of one seed into the matrix."""
    for operator in operators:
        cell = matrix.cells[operator.name, seed.tool.name]
        for mutant in operator.plant(seed):
            for line in lines_of(mutant):
                cell[1] += 1
                if operator.kills(check(line)):
                    cell[0] += 1
                else:
                    matrix.survivors.append((operator.name, seed.tool.name, line))


def check_valid(matrix: Matrix, name: str, lines: Iterable[bytes], check: Check) -> None:
    """Count valid rows in; any error or warning for one is a false alarm."""
    for line in lines:
        matrix.valid += 1
        problems = [problem for problem in check(line) if problem.severity != "info"]
        if problems:
            matrix.alarms.append((name, line, problems))


def whole_matrix(examples: Iterable, seeds: Iterable[Seed], check: Check, progress=lambda items, **_: items) -> Matrix:
    """Every example as a valid row, and every operator and harmless change on every seed."""
    matrix = Matrix()
    for example in progress(examples, desc="valid rows", unit="row"):
        check_valid(matrix, "shipped", lines_of(example), check)
    for seed in progress(seeds, desc="faults", unit="row"):
        plant_all(matrix, seed, check)
        for name, lines in harmless(seed):
            check_valid(matrix, name, lines, check)
    return matrix


def harmless(seed: Seed) -> Iterator[tuple[str, list[bytes]]]:
    """(name, lines) of changes that leave a row valid."""
    example, context = seed.example, seed.arguments["context"]
    system = Turn("system", (Text("You look after a vault."),))
    failed = {"success": False, "error": "File not found: x"}
    backwards = {name: seed.arguments[name] for name in reversed(seed.arguments) if name != "context"}
    yield "as it is", seed.lines
    yield "no label", lines_of(replace(example, label=None))
    yield "label false", lines_of(replace(example, label=False))
    yield "system message", lines_of(replace(example, turns=(system, *example.turns)))
    yield "two exchanges", lines_of(replace(example, turns=example.turns * 2))
    yield "words first", lines_of(seed.answered(Text("I look."), *seed.parts))
    yield "no closing words", lines_of(seed.answered(*seed.parts[: seed.part + 2]))
    yield "ends with the call", lines_of(seed.answered(*seed.parts[: seed.part + 1]))
    yield "failed call", lines_of(seed.answered(seed.call, Result(failed), Text("It is not there.")))
    yield "arguments in another order", lines_of(seed.with_arguments({"context": context, **backwards}))
    yield (
        "arguments spaced otherwise",
        [
            line
            for text in (f"{{ {seed.written[1:-1]}  }}", json.dumps(seed.arguments, separators=(",", ":")))
            for mutant in seed.with_written(text)
            for line in lines_of(mutant)
        ],
    )
    yield "its own tools", lines_of(replace(example, tools=tuple(seed.toolset.openai_tools()[:1])))
