"""What decides the answers of an evaluation, and how it is written down so that two of them can be told apart."""

import hashlib
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

from evaluator.cases import Case
from evaluator.replies import Sampling
from lib.runs import digest_file
from lib.toolset import DEFAULT_TOOLS, Toolset


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
    probe: bool = True  # ask first whether seed and concurrency change the text
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
    asked = [{name: value for name, value in asdict(case).items() if name != "replies"} for case in cases]  # the lint's
    return {"prompts_sha256": digest(asked), "tools_sha256": tools}


def holds_text(settings: Settings) -> bool:
    """Whether turns in the text form are sampled under our grammar of the schemas: llama-server takes one."""
    return settings.grammar and settings.form == "text" and settings.backend == "llamacpp"


def digest(value: object) -> str:
    """sha256 of the value's JSON."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=list).encode()).hexdigest()
