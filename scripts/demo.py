"""Run the whole pipeline and print one table: base, SFT, KTO and a quant on the same prompts.

\b
    python -m scripts.demo
    python -m scripts.demo --format text --prompts baseline

What is up to date is reused; what a stopped demo has done is kept, and `make demo RESUME=1` goes on in mid-training.
"""

import json
import sys
import time
from importlib import import_module
from pathlib import Path

import click

from evaluator import reuse
from lib.cli import command, console, log, option
from lib.errors import CannotRun

TALLY = "demo.json"  # stage -> seconds it took when it last did something


@command(help=__doc__)
@option("--platform", type=click.Choice(["cuda", "mlx", "cpu"]), default="cpu", help="What to train on.")
@option("--size", default="tiny", help="A key of configs/sizes.yaml.")
@option("--format", "form", type=click.Choice(["native", "text"]), default="native", help="How calls are written.")
@option("--tools-in-prompt", default="none", help="none, names or full.")
@option("--prompts", default="full_coverage", help="Prompt sets, separated by commas.")
@option("--quants", default="Q4_K_M Q5_K_M Q8_0", help="GGUF types of the KTO model; the first is measured too.")
@option("--state", type=click.Path(path_type=Path), default="build/cpu-tiny-native-none", help="make's stamps.")
@option("--make", "make_program", default="make", help="GNU make.")
@click.option("--resume", is_flag=True, help="Go on with an interrupted training or evaluation.")
def main(platform, size, form, tools_in_prompt, prompts, quants, state, make_program, resume):
    demo = Demo(state, make_program, resume)
    model = ["--size", size, "--platform", platform, "--tools-in-prompt", tools_in_prompt]
    with alone(state):
        demo.llama_cpp()
        demo.make("validate")
        sft = demo.train("sft", size)
        kto = demo.train("kto", size)
        base_files = demo.gguf("gguf base", ["--base", *model], "")
        sft_files = demo.gguf("gguf SFT", ["--run", str(sft)], "")
        kto_files = demo.gguf("gguf KTO", ["--run", str(kto)], quants)
        ladder = {"base": base_files[0], "SFT": sft_files[0], "KTO": kto_files[0]}
        if len(kto_files) > 1:
            ladder[f"KTO {quants.split()[0]}"] = kto_files[1]
        results = [demo.evaluate(label, gguf, form, prompts) for label, gguf in ladder.items()]
        made = [sft, kto, *base_files, *sft_files, *kto_files]
        show(demo, results, made)


class Demo:
    """The stages in their order, each timed; (stage, seconds, whether it was reused) of each in `stages`."""

    def __init__(self, state: Path, make_program: str, resume: bool):
        self.state, self.make_program, self.resume = state, make_program, resume
        self.stages: list[tuple[str, float, bool]] = []
        self.tally = json.loads((state / TALLY).read_text()) if (state / TALLY).is_file() else {}

    def run(self, stage: str, line: list[str], made, capture: bool = False) -> str:
        """The stage's stdout when captured; made(): whether it did anything, told after it ended well."""
        log(f"\n== {stage}: {' '.join(line)}")
        start = time.monotonic()
        code, text = call(line, capture)
        if code != 0:
            raise CannotRun(f"{stage} failed with exit code {code}; its own words stand above.")
        self.note(stage, time.monotonic() - start, not made(text))
        return text

    def note(self, stage: str, seconds: float, reused: bool) -> None:
        self.stages.append((stage, seconds, reused))
        if not reused:
            self.tally[stage] = round(seconds, 1)
            import_module("lib.jsonl").write_json(self.state / TALLY, self.tally)

    def make(self, target: str, *settings: str, watched: str = "build/validated") -> None:
        before = stamp(watched)
        self.run(
            target, [self.make_program, "--no-print-directory", target, *settings], lambda _: stamp(watched) != before
        )

    def llama_cpp(self) -> None:
        """llama.cpp found or built: first, so that a machine that cannot build it says so before the training."""
        there = import_module("lib.llama_cpp").find() is not None
        self.run("llama.cpp", [sys.executable, "-m", "scripts.llama_cpp"], lambda _: not there)

    def train(self, method: str, size: str) -> Path:
        """The finished run of a method, made by `make` unless it is up to date."""
        run_file = self.state / f"{method}.run"
        unfinished = import_module("lib.runs").newest(method, size, finished=False)
        resume = "RESUME=1" if self.resume and unfinished else "RESUME=0"
        self.make(method, "YES=1", "DRY_RUN=0", resume, watched=str(run_file))
        return Path(run_file.read_text(encoding="utf-8").strip())

    def gguf(self, stage: str, source: list[str], quants: str) -> list[Path]:
        """The paths of the f16 file and of the quants."""
        line = [sys.executable, "-m", "scripts.gguf", *source, "--quants", quants, "--json"]
        answer = self.run(stage, line, lambda out: any(row["made"] for row in json.loads(out)["files"]), capture=True)
        return [Path(row["path"]) for row in json.loads(answer)["files"]]

    def evaluate(self, label: str, gguf: Path, form: str, prompts: str) -> Path:
        """The result file of a model, kept when nothing that it rests on is newer."""
        stage = f"eval {label}"
        results = reuse.place_of(gguf, form) / "results.json"
        if reuse.is_current(results, gguf, prompts):
            self.note(stage, 0.0, True)
        else:
            self.run(stage, reuse.evaluation(label, gguf, form, prompts, self.resume), lambda _: True)
        return results


def call(line: list[str], capture: bool) -> tuple[int, str | None]:
    """(exit code, stdout when captured) of a command."""
    return reuse.call(line, capture, "Go on with: make demo RESUME=1")


def alone(state: Path):
    """A lock on the folder of stamps; CannotRun when another demo holds it."""
    from filelock import FileLock, Timeout

    state.mkdir(parents=True, exist_ok=True)
    lock = FileLock(state / "demo.lock")
    try:
        return lock.acquire(timeout=0)
    except Timeout:
        raise CannotRun(f"another make demo is at work in {state}. Wait for it, or work in another clone.") from None


def stamp(path: str) -> list[tuple[str, int]]:
    """What changes when a file, or a file in a folder, is written."""
    place = Path(path)
    files = sorted(place.iterdir()) if place.is_dir() else [place]
    return [(str(file), file.stat().st_mtime_ns) for file in files if file.is_file()]


def show(demo: Demo, results: list[Path], made: list[Path]) -> None:
    """The closing tables on stdout, and the same as Markdown and as a page in the folder of stamps."""
    reports, read_result = import_module("evaluator.reports"), import_module("evaluator.results").read_result
    table, markdown = reports.ladder_table(results)
    rows = [
        (stage, "reused" if reused else f"{seconds:.0f} s", was(demo, stage)) for stage, seconds, reused in demo.stages
    ]
    files = [*made, *(path.parent / name for path in results for name in import_module("evaluator.files").NAMES)]
    times = reports.markdown_table(["stage", "now", "when made"], rows)
    listing = "\n".join(f"- {path}" for path in files)
    target = demo.state / "demo.md"
    write_text = import_module("lib.jsonl").write_text
    write_text(target, f"{markdown}\n\n{times}\n\n{listing}\n")
    page = import_module("evaluator.page").page
    write_text(target.with_suffix(".html"), page([read_result(path) for path in results]))
    click.echo()
    console(120).print(table)
    for stage, now, before in rows:
        click.echo(f"{stage:<18} {now:>8}   {before if now == 'reused' else ''}".rstrip())
    click.echo("\n".join(map(str, ["", *files, target, target.with_suffix(".html")])))


def was(demo: Demo, stage: str) -> str:
    """How long a stage took when it was made."""
    return f"{demo.tally[stage]:.0f} s" if stage in demo.tally else ""


if __name__ == "__main__":
    main()
