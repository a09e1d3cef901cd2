"""Quality gates: targets from configs/gates.yaml, the figures of a dataset, and which of them pass.

A figure comes with its causes: what in the data moves it, worst first, in words for whoever writes the material.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lib.chat import Example, example_from_row
from lib.errors import CannotRun
from lib.jsonl import read_rows

GATES = Path("configs/gates.yaml")
TARGETS = ("at_least", "at_most", "between")
KEYS = {"what", "upstream", "note", "moved", *TARGETS}


@dataclass(frozen=True)
class Gate:
    """One line of configs/gates.yaml. low and high bound the figure, both included; None: open."""

    name: str
    what: str
    low: float | None = None
    high: float | None = None
    upstream: str = ""
    note: str = ""
    moved: str = ""

    @property
    def target(self) -> str:
        """The target in words, "" when there is none."""
        if self.low is not None and self.high is not None:
            return f"{shown(self.low)} to {shown(self.high)}"
        return (
            f">= {shown(self.low)}"
            if self.low is not None
            else f"<= {shown(self.high)}"
            if self.high is not None
            else ""
        )

    def passes(self, value: float | None) -> bool | None:
        """Whether a figure is inside; None when there is no target or no figure."""
        if value is None or not self.target:
            return None
        return (self.low is None or value >= self.low) and (self.high is None or value <= self.high)

    def weaker_than(self, low: float | None, high: float | None) -> bool:
        """Whether this gate lets through what the earlier bounds did not."""
        opened = low is not None and (self.low is None or self.low < low)
        return opened or (high is not None and (self.high is None or self.high > high))


@dataclass(frozen=True)
class Figure:
    """A measured value (None: not measurable on this file) and what causes it, worst first."""

    value: float | None
    causes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Verdict:
    """A gate with its figure."""

    gate: Gate
    figure: Figure

    @property
    def passes(self) -> bool | None:
        return self.gate.passes(self.figure.value)

    def to_dict(self) -> dict:
        """For programs."""
        return asdict(self.gate) | asdict(self.figure) | {"passes": self.passes}


@dataclass(frozen=True)
class Dataset:
    """A file read: rows, their examples, line numbers, and the proofs beside it (None: there are none)."""

    path: Path
    rows: list[dict]
    examples: list[Example]
    lines: list[int]
    proofs: list[dict] | None

    def only(self, wanted: Callable[[Example], bool]) -> "Dataset":
        """The part whose examples are wanted."""
        chosen = [number for number, example in enumerate(self.examples) if wanted(example)]
        parts = ([values[number] for number in chosen] for values in (self.rows, self.examples, self.lines))
        return Dataset(self.path, *parts, self.proofs and [self.proofs[number] for number in chosen])


def shown(value: float | None) -> str:
    """A figure as people read it: whole counts whole, shares with the digits that matter."""
    if value is None:
        return "-"
    if isinstance(value, int) or float(value).is_integer():
        return f"{int(value)}"
    return f"{value:.4f}" if abs(value) < 0.01 else f"{value:.3f}" if abs(value) < 2 else f"{value:.1f}"


def load_gates(path=GATES) -> dict[str, list[Gate]]:
    """The gates by kind of dataset, in file order; a fault in the file is CannotRun naming the gate."""
    import yaml

    try:
        tables = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise CannotRun(f"{path}: cannot be read as YAML ({error}).") from error
    return {kind: [_gate(path, f"{kind}.{name}", entry) for name, entry in tables[kind].items()] for kind in tables}


def _gate(path, name: str, entry: Any) -> Gate:
    if not isinstance(entry, dict) or set(entry) - KEYS or "what" not in entry:
        raise CannotRun(f"{path}: {name}: needs what, and knows only {', '.join(sorted(KEYS))}.")
    given = [key for key in TARGETS if key in entry]
    low, high = entry.get("at_least"), entry.get("at_most")
    if "between" in entry:
        bounds = entry["between"]
        low, high = bounds if isinstance(bounds, list) and len(bounds) == 2 else (None, None)
    numbers = all(isinstance(bound, int | float) for bound in (low, high) if bound is not None)
    if len(given) > 1 or not numbers or (given and low is None and high is None):
        raise CannotRun(f"{path}: {name}: one target, a number (at_least, at_most) or two (between: [low, high]).")
    texts = {key: str(entry.get(key, "")) for key in ("upstream", "note", "moved")}
    return Gate(name, str(entry["what"]), low, high, **texts)


def load_dataset(path, progress=iter) -> Dataset:
    """A dataset with the .proof.jsonl beside it; CannotRun when the two do not match."""
    path = Path(path)
    rows, examples, lines = [], [], []
    for line, row in progress(read_rows(path)):
        rows.append(row)
        examples.append(example_from_row(row)[0])
        lines.append(line)
    beside = path.with_suffix(".proof.jsonl")
    proofs = [proof for _, proof in read_rows(beside)] if beside.is_file() else None
    if proofs is not None and len(proofs) != len(rows):
        raise CannotRun(f"{path}: {len(rows)} rows but {len(proofs)} proofs. Rebuild both with: make datasets")
    return Dataset(path, rows, examples, lines, proofs)


def judge(gates: Sequence[Gate], figures: dict[str, Figure]) -> list[Verdict]:
    """Each gate with its figure, in the order of the gates; a gate that nothing measures is an error of ours."""
    names = [gate.name.partition(".")[2] for gate in gates]
    if set(names) != set(figures):
        raise CannotRun(f"configs/gates.yaml and the measures differ: {', '.join(sorted(set(names) ^ set(figures)))}.")
    return [Verdict(gate, figures[name]) for gate, name in zip(gates, names, strict=True)]


# ------------------------------------------------------------------------------------------------ causes


def share(count: int, total: int) -> float:
    """count by total, 0 of none."""
    return count / total if total else 0.0


def commonest(counts: Counter, most: int = 5) -> tuple[str, ...]:
    """The commonest entries in words."""
    return tuple(f"{quoted(key)}: {number}" for key, number in counts.most_common(most))


def fewest(counts: dict, most: int = 60) -> tuple[str, ...]:
    """The rarest entries in words, a key of several parts joined by blanks."""
    ordered = sorted(counts.items(), key=lambda item: (str(item[1]), str(item[0])))
    return tuple(f"{joined(key)}: {value}" for key, value in ordered[:most]) + more(len(ordered) - most)


def more(left: int) -> tuple[str, ...]:
    """A last entry that counts what is left out."""
    return (f"and {left} more",) if left > 0 else ()


def joined(key: Any) -> str:
    """A key in words."""
    return " ".join(map(str, key)) if isinstance(key, tuple) else str(key)


def quoted(key: Any) -> str:
    """A text or tuple of words as it may stand in a list, cut to a readable length."""
    text = joined(key)
    return f'"{text[:77]}..."' if len(text) > 80 else f'"{text}"'
