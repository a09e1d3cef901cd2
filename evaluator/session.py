"""One evaluation from settings to result: server, cases, attempts, and the files that say what came of it."""

import contextlib
import datetime
import hashlib
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from evaluator.addresses import server_key, server_url
from evaluator.backends import BACKENDS, OpenAI, Sampling
from evaluator.cases import Case, load_cases
from evaluator.conversation import Asking
from evaluator.files import write_files
from evaluator.journal import Journal
from evaluator.own_tools import load_tools
from evaluator.replies import Offered
from evaluator.runner import Runner
from evaluator.statistics import summarize
from lib.cli import log
from lib.errors import CannotRun
from lib.grammar import text_grammar
from lib.runs import digest_file
from lib.toolset import DEFAULT_TOOLS, Toolset
from lib.transport import Fault

MANAGED_PARALLEL = 4  # slots of a server that we start: several short answers at once use the cores better
MANAGED_CONTEXT = 4096  # tokens per slot
UNLISTED = ("not-found", "not-json", "http-405")  # faults of a server that lists no models: it must be told which


@dataclass(frozen=True)
class Settings:
    """What decides the answers; an evaluation goes on only with the same ones."""

    backend: str = "llamacpp"
    form: str = "native"  # native or text
    prompts: tuple[str, ...] = ("full_coverage",)
    model: str = ""
    gguf: Path | None = None
    url: str = ""
    context: int = 0  # tokens per request, where the server can be told; 0: its own
    parallel: int = 0  # requests at once; 0: as many as the server has slots
    max_steps: int = 6
    limit: int | None = None
    repeats: int = 1  # attempts at each case, each with its own seed
    timeout: float = 120.0  # seconds for one answer
    tools: Path = DEFAULT_TOOLS
    answers: Path | None = None  # BFCL's possible answers, where they do not lie beside the questions
    grammar: bool = True  # hold the text form to the schemas, where the server can
    label: str = ""
    sampling: Sampling = field(default_factory=Sampling)


def fixed(settings: Settings, cases: list[Case], toolset: Toolset) -> dict:
    """The settings as they are written down and compared: with digests of prompts, tools and model file."""
    gguf = settings.gguf
    return {
        "backend": settings.backend,
        "format": settings.form,
        "prompts": [Path(name).stem for name in settings.prompts],
        **own_files(settings),
        **judged_by(cases, toolset),
        "model": settings.model,
        "gguf": gguf.name if gguf else None,
        "gguf_bytes": gguf.stat().st_size if gguf else None,
        "gguf_sha256": digest_file(gguf) if gguf else None,
        "context": settings.context,
        "max_steps": settings.max_steps,
        "limit": settings.limit,
        "repeats": settings.repeats,
        "grammar": holds_text(settings),
        **vars(settings.sampling),
    }


def own_files(settings: Settings) -> dict[str, str]:
    """The files of a suite of one's own, to be found again by `rescore`; nothing for ours."""
    tools = {"tools": str(settings.tools)} if settings.tools != DEFAULT_TOOLS else {}
    return tools | ({"answers": str(settings.answers)} if settings.answers else {})


def judged_by(cases: list[Case], toolset: Toolset) -> dict[str, str]:
    """The digests of what is asked and of the tools."""
    tools = digest(toolset.openai_tools())
    return {"prompts_sha256": digest([asdict(case) for case in cases]), "tools_sha256": tools}


def holds_text(settings: Settings) -> bool:
    """Whether turns in the text form are sampled under our grammar of the schemas: llama-server takes one."""
    return settings.grammar and settings.form == "text" and settings.backend == "llamacpp"


def digest(value: object) -> str:
    """sha256 of the value's JSON."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=list).encode()).hexdigest()


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


def evaluate(settings: Settings, out: Path, resume: bool, on_record: Callable[..., None]) -> dict:
    """The result, also written to the files in out; an interrupted run writes what it has.

    on_record: called with each record, the number of attempts, and whether the record is of an earlier, broken run.
    """
    toolset = load_tools(settings.tools)
    cases = load_cases(list(settings.prompts), toolset, settings.limit, settings.answers)
    refuse_text(settings, cases, toolset)
    facts = fixed(settings, cases, toolset)
    with Journal(out, facts, resume) as journal, open_backend(settings) as (backend, last_words):
        if holds_text(settings):
            backend.grammar = text_grammar(toolset)
        fingerprint = _fingerprint(backend, facts, settings.sampling)
        backend.window = backend.window or (fingerprint.get("context") or 0)
        asking = Asking(backend, toolset, settings.sampling, settings.max_steps)
        runner = Runner(cases, asking, settings.form, journal, settings.repeats)
        if settings.repeats > 1 and settings.sampling.temperature == 0:
            log("At temperature 0 each attempt at a case is likely to be the same. For others: --temperature 0.7")
        if runner.records:
            what = "cases" if settings.repeats == 1 else "attempts"
            log(f"{len(runner.records)} of {len(runner.jobs)} {what} are done already.")
            for record in runner.results():
                on_record(record, len(runner.jobs), True)
        parallel = settings.parallel or _slots(backend)
        started = time.monotonic()
        stopped = "interrupted"
        try:
            runner.run(parallel, lambda record: on_record(record, len(runner.jobs), False))
            stopped = f"the server stopped answering ({runner.gone})" if runner.gone else ""
            if stopped and (words := last_words()):
                log(f"The server's last words:\n{words}")
        finally:
            result = {
                "label": settings.label or backend.model,
                "finished": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
                "settings": {**facts, "parallel": parallel},
                "fingerprint": fingerprint | ({"context": backend.window} if backend.window else {}),
                "seconds": round(time.monotonic() - started, 1),
                "stopped": stopped,
                "summary": summarize(runner.results()),
                "records": runner.results(),
            }
            write_files(out, result)
    return result


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
