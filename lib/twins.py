"""A row's twin in the other form, proven to hold the same example before it is handed out."""

from dataclasses import dataclass, replace
from typing import Any

from lib.chat import Call, Example, Result, example_from_row, to_native_row, to_text_row
from lib.errors import CannotRun

WRITERS = {"native": to_native_row, "text": to_text_row}


@dataclass
class Twins:
    """Writes rows in one form; `tools` is given to every row that has no tool list of its own."""

    form: str
    tools: tuple[dict, ...] | None = None
    dropped_ids: int = 0

    def row(self, path, number: int, row: Any) -> dict:
        """The twin of a row; CannotRun with path:line, code and reason when something of it would be lost."""
        example, faults = example_from_row(row)
        lost = next((fault for fault in faults if fault.severity == "error" or is_lost(fault)), None)
        if lost:
            place = f"{lost.place}: " if lost.place else ""
            raise CannotRun(f"{path}:{number}: {lost.code}: {place}{lost.message}. Nothing was written.")
        if self.tools is not None and example.tools is None:
            example = replace(example, tools=self.tools)
        if self.form == "text":
            example = self.without_ids(path, number, example)
        try:
            twin = WRITERS[self.form](example)
        except ValueError as error:
            raise CannotRun(f"{path}:{number}: no-text-form: {error}. Nothing was written.") from None
        read, _ = example_from_row(twin)
        if read != example:
            raise CannotRun(
                f"{path}:{number}: not-the-same: the {self.form} form would be read as another row. "
                "Nothing was written."
            )
        return twin

    def without_ids(self, path, number: int, example: Example) -> Example:
        """The example as the text form can hold it; results that answer a later call first are refused."""
        turns = []
        for turn in example.turns:
            parts = []
            for part in turn.parts:
                if isinstance(part, Result) and part.id:
                    raise CannotRun(
                        f"{path}:{number}: result-order: a result answers a call before an earlier one is answered; "
                        "the text form cannot say so. Nothing was written."
                    )
                if isinstance(part, Call) and part.id:
                    self.dropped_ids += 1
                    part = replace(part, id="")
                parts.append(part)
            turns.append(replace(turn, parts=tuple(parts)))
        return replace(example, turns=tuple(turns))


def is_lost(fault) -> bool:
    """Whether a mere warning means that something of the row is in no example: a turn's unknown key."""
    return fault.code == "unknown-key" and fault.place != ""
