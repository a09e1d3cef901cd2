"""All rows of a teacher: asked by a few threads, judged, and kept in the order of the tasks, whoever answers first."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from lib.errors import CannotRun
from lib.jsonl import read_rows, write_rows
from lib.overlap import Index, user_texts
from lib.synth.rows import Reject
from lib.synth.taught import NEAR_DUPLICATE, Judge, Taught, informing_tools, teach
from lib.teacher import NoAnswer, Stopped

NO_ANSWER = "no-answer"
# What stops a row before it reaches a stage.
STAGES = {
    "parsed": (NO_ANSWER, "not-json"),
    "ran": ("schema", "failed"),
    "goal held": ("goal", "no-effect", "droppable", "invisible", "unsteady"),
    "new": ("duplicate", "contaminated"),
    "kept": ("unbacked", "too-long"),
}
EXAMPLES = 3  # rejects shown for each code


@dataclass
class Harvest:
    """What came of the tasks, in their order."""

    kept: list = field(default_factory=list)  # (Task, Taught)
    rejects: list = field(default_factory=list)  # (Task, code, detail)
    left: int = 0  # tasks not asked, because the run was stopped before

    def codes(self) -> Counter:
        return Counter(code for _, code, _ in self.rejects)

    def stages(self) -> dict[str, int]:
        """How many rows reached each stage."""
        codes = self.codes()
        rows = {"asked": len(self.kept) + len(self.rejects)}
        count = rows["asked"]
        for stage, stopped_by in STAGES.items():
            count -= sum(codes[code] for code in stopped_by)
            rows[stage] = count
        return rows

    def complete(self) -> bool:
        """Whether every task was asked and answered."""
        return not self.left and not self.codes()[NO_ANSWER]

    def to_dict(self) -> dict:
        examples: dict[str, list] = {}
        for task, code, detail in self.rejects:
            shown = examples.setdefault(code, [])
            if len(shown) < EXAMPLES:
                shown.append({"row": task.number, "tool": task.tool, "kind": task.kind, "detail": detail})
        return {
            "stages": self.stages(),
            "left": self.left,
            "rejects": {
                code: {"count": count, "examples": examples[code]} for code, count in self.codes().most_common()
            },
            "tools": dict(Counter(taught.proof["tool"] for _, taught in self.kept).most_common()),
        }


def make_judge(material, toolset, datasets, prompts) -> Judge:
    """The judge who knows what these dataset files hold and what these prompt sets ask."""
    if not prompts:
        raise CannotRun("No prompt sets in evaluator/prompts, so nobody could tell whether a row gives an answer away.")
    asked = [row["question"] for path in prompts for _, row in read_rows(path)]
    shipped = [text for path in datasets for text in user_texts(path)]
    limit = material.quotas["max_characters"]
    return Judge(toolset, informing_tools(material), Index(asked), Index(shipped), limit)


def shipped_files(out) -> list[Path]:
    """The dataset files beside which a new row must be new: all but the file being written."""
    files = [path for path in sorted(Path("datasets").glob("*.jsonl")) if "." not in path.stem]  # no proofs, no rejects
    return [path for path in files if path.resolve() != Path(out).resolve()]


def one_row(task, teacher, judge) -> Taught | Exception:
    """The row of one task, or the exception that says why there is none."""
    try:
        return teach(task, lambda messages, schema: teacher.ask(messages, schema, task.seed), judge)
    except (Reject, NoAnswer, Stopped) as reason:
        return reason


def harvest(tasks, teacher, judge, parallel, on_row=lambda kept: None) -> Harvest:
    """What comes of all tasks; on_row(how many are kept so far) is called after each."""
    found, requests = Harvest(), Index()
    pool = ThreadPoolExecutor(max_workers=parallel)
    try:
        for task, taught in zip(tasks, pool.map(lambda task: one_row(task, teacher, judge), tasks), strict=True):
            if isinstance(taught, Stopped):
                found.left += 1
            elif isinstance(taught, Exception):
                code = taught.code if isinstance(taught, Reject) else NO_ANSWER
                found.rejects.append((task, code, taught.detail if isinstance(taught, Reject) else str(taught)))
            else:
                add(found, requests, task, taught)
            on_row(len(found.kept))
    except BaseException:
        teacher.stop("interrupted")  # what is under way comes to its end and into the cassette
        raise
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
    return found


def add(found, requests, task, taught):
    """Keep a row, unless an earlier one asks nearly the same."""
    other = requests.nearest(taught.request)
    if other.likeness >= NEAR_DUPLICATE:
        found.rejects.append((task, "duplicate", f"{other.likeness:.2f} like {other.other!r}"))
        return
    requests.add(taught.request)
    found.kept.append((task, taught))


def write_harvest(found, out, model) -> None:
    """Write the rows, their proofs, and every reject, each file whole; without rows nothing but the rejects."""
    out = Path(out)
    if found.kept:
        write_rows(out, (taught.row for _, taught in found.kept))
        write_rows(out.with_suffix(".proof.jsonl"), (taught.proof | {"teacher": model} for _, taught in found.kept))
    rejects = out.with_suffix(".rejects.jsonl")
    rejects.unlink(missing_ok=True)  # an earlier run's
    if found.rejects:
        write_rows(rejects, (
            {"row": task.number, "tool": task.tool, "kind": task.kind, "world": task.expanded.world,
             "seed": task.expanded.seed, "code": code, "message": detail} for task, code, detail in found.rejects
        ))  # fmt: skip
