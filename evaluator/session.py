"""One evaluation from settings to result: server, cases, attempts, and the files that say what came of it."""

import contextlib
import datetime
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from evaluator.addresses import server_key, server_url
from evaluator.backends import BACKENDS, OpenAI, Sampling
from evaluator.cases import load_cases
from evaluator.conversation import Asking
from evaluator.files import write_files
from evaluator.gates import Gates
from evaluator.journal import Journal
from evaluator.own_tools import load_tools
from evaluator.probe import Probe, probe
from evaluator.replies import Offered
from evaluator.rescoring import judged_again
from evaluator.runner import Runner
from evaluator.settings import Settings, fixed, holds_text
from evaluator.statistics import speed, summarize
from lib.cli import log
from lib.errors import CannotRun
from lib.grammar import text_grammar
from lib.toolset import Toolset
from lib.transport import Fault

MANAGED_PARALLEL = 4  # slots of a server that we start: several short answers at once use the cores better
MANAGED_CONTEXT = 4096  # tokens per slot
NO_GATES = Gates()
UNLISTED = ("not-found", "not-json", "http-405")  # faults of a server that lists no models: it must be told which


@contextlib.contextmanager
def open_backend(settings: Settings) -> Iterator[tuple[OpenAI, Callable[[], str]]]:
    """The server to ask, and what gives its last words: a running one, or our own llama-server, stopped at the end."""
    if not settings.gguf:
        backend = _connected(settings, server_url(settings.backend, settings.url))
        try:
            backend.prepare()
            yield backend, str
        finally:
            backend.release()
        return
    from lib.server import serve

    named = replace(settings, model=settings.model or settings.gguf.stem)
    slots = settings.parallel or MANAGED_PARALLEL
    with serve(settings.gguf, context=settings.context or MANAGED_CONTEXT, parallel=slots) as server:
        yield _connected(named, server.url), server.last_words


def _connected(settings: Settings, url: str) -> OpenAI:
    """The backend, found alive and with a model named; CannotRun when it does not answer or knows no such model."""
    backend = BACKENDS[settings.backend](
        url, settings.model, settings.timeout, settings.context, server_key(settings.backend)
    )
    try:
        backend.ready()
        offered = backend.offered()
    except Fault as fault:
        if not (settings.model and fault.code in UNLISTED):
            raise CannotRun(f"{settings.backend}: {fault.message}. {_advice(settings.backend)}") from None
        offered = [Offered(settings.model)]
    names = [model.name for model in offered]
    if not names:
        raise CannotRun(f"{settings.backend} at {url} offers no model. Load one there first.")
    backend.model = backend.named(settings.model, names) if settings.model else backend.usual(offered)
    if not backend.model:
        why = f"has no model {settings.model}" if settings.model else "has no model loaded: name one with --model"
        raise CannotRun(f"{settings.backend} {why}. It has: {', '.join(names[:10])}.")
    return backend


def _advice(backend: str) -> str:
    return {
        "llamacpp": "Give a model file with --gguf, and the server is started here.",
        "ollama": "Start it with: ollama serve",
        "lmstudio": "Start it with: lms server start",
        "vllm": "Start it with: vllm serve MODEL --enable-auto-tool-choice --tool-call-parser NAME",
        "openai": "Check --url.",
    }[backend]


def evaluate(
    settings: Settings, out: Path, go_on: bool | None, on_record: Callable[..., None], gates: Gates = NO_GATES
) -> dict:
    """The result, also written to the files in out; an interrupted run writes what it has.

    go_on: as for Journal. on_record: called with each record, the number of attempts, and whether the record is of an
    earlier, broken run.
    """
    toolset = load_tools(settings.tools)
    cases = load_cases(list(settings.prompts), toolset, settings.limit, settings.answers)
    refuse_text(settings, cases, toolset)
    facts = fixed(settings, cases, toolset)
    with Journal(out, facts, go_on) as journal, open_backend(settings) as (backend, last_words):
        if holds_text(settings):
            backend.grammar = text_grammar(toolset)
        fingerprint = _fingerprint(backend, facts, settings.sampling)
        journal.met(fingerprint)
        backend.window = backend.window or (fingerprint.get("context") or 0)
        asking = Asking(backend, toolset, settings.sampling, settings.max_steps)
        runner = Runner(cases, asking, settings.form, journal, settings.repeats)
        runner.settle = lambda records: gates.settled(records, runner.cases, settings.repeats)
        if settings.repeats > 1 and settings.sampling.temperature == 0:
            log("At temperature 0 each attempt at a case is likely to be the same. For others: --temperature 0.7")
        _take_up(runner, settings, on_record)
        parallel, found = probed(settings, journal, runner)
        earlier, started, stopped = set(runner.records), time.monotonic(), "interrupted"
        try:
            runner.run(parallel, lambda record: on_record(record, len(runner.jobs), False))
            stopped = f"the server stopped answering ({runner.gone})" if runner.gone else ""
            if stopped and (words := last_words()):
                log(f"The server's last words:\n{words}")
        finally:
            seconds, records = time.monotonic() - started, runner.results()
            new = [record for record in records if (record["id"], record["attempt"]) not in earlier]
            result = {
                "label": settings.label or backend.model,
                "finished": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
                "settings": {**facts, "parallel": parallel},
                "fingerprint": fingerprint | ({"context": backend.window} if backend.window else {}),
                "probe": found,
                "seconds": round(seconds, 1),
                "stopped": stopped,
                "settled": runner.settled if len(records) < len(runner.jobs) else "",
                "summary": summarize(records),
                "speed": speed(new, seconds, parallel),
                "records": records,
            }
            write_files(out, result)
        if not stopped and len(records) == len(runner.jobs):
            journal.end()  # last, so that until then the same command goes on
    return result


def _take_up(runner: Runner, settings: Settings, on_record: Callable[..., None]) -> None:
    """Judges what an earlier, broken run has done by today's checker, and says how much that is."""
    if not runner.records:
        return
    again = {key: judged_again(runner.cases[key[0]], row, runner.form, runner.asking.toolset)[0]
             for key, row in runner.records.items()}  # fmt: skip
    other = sum(again[key]["outcome"] != row["outcome"] for key, row in runner.records.items())
    runner.records = again
    what = "cases" if settings.repeats == 1 else "attempts"
    told = f"; today's checker judges {other} of them otherwise" if other else ""
    log(f"{len(again)} of {len(runner.jobs)} {what} are done already{told}.")
    for record in runner.results():
        on_record(record, len(runner.jobs), True)


def probed(settings: Settings, journal: Journal, runner: Runner) -> tuple[int, dict | None]:
    """(requests at once, what the probe found; None when there was none). What it found is kept in the journal."""
    wanted = settings.parallel or _slots(runner.asking.backend)
    if journal.told.probe:
        found = Probe(**journal.told.probe)
    elif not settings.probe or len(runner.records) == len(runner.jobs):
        return wanted, None
    else:
        found = probe([case for case, _ in runner.jobs], runner.asking, settings.form, wanted)
        journal.add({"probe": vars(found)})
    # Who names a number gets it.
    parallel = settings.parallel or found.parallel(wanted)
    fewer = f" So one at a time; --parallel {wanted} is faster." if parallel < wanted else ""
    log(f"Probe: {found.says()}.{fewer}")
    return parallel, {**vars(found), "says": found.says()}


def refuse_text(settings: Settings, cases: list, toolset: Toolset) -> None:
    """CannotRun when tools that no prompt names are to be called in the text form, which a model has by heart."""
    own = any(case.functions for case in cases) or any(tool.foreign for tool in toolset.tools.values())
    if own and settings.form == "text":
        raise CannotRun("The text form shows a model no tools, so it cannot know these. Ask natively: FORMAT=native.")


def _fingerprint(backend: OpenAI, facts: dict, sampling: Sampling) -> dict:
    """What identifies server, model and sampling; the digest of a model file that is served here is the file's."""
    try:
        found = backend.fingerprint()
    except Fault as fault:
        found = {"model": backend.model, "unknown": str(fault)}
    served_here = {"digest": facts["gguf_sha256"]} if facts["gguf_sha256"] else {}
    return found | served_here | {"sampling": vars(sampling)}


def _slots(backend: OpenAI) -> int:
    try:
        return backend.slots()
    except Fault:
        return 1
