"""Chat templates that we ship with tokenizer, GGUF and Modelfile: our own, and a base model's own made to last.

A base's own template is shipped with its day pinned (some write today's date into the prompt, which training cannot
know) and with the tools shown as they were in training, whatever list a client sends.
"""

import datetime
import itertools
import re
from pathlib import Path

from lib.errors import CannotRun

FOLDER = Path(__file__).parent
MODES = ("none", "names", "full")
DEFAULT_MODE = 'default("none")'
PINNED_DAY = datetime.date(2024, 7, 26)  # what Llama 3's template falls back to
NOW = re.compile(r"strftime_now\(\s*([\"'])(.*?)\1\s*\)")
# Mistral's templates write the system text before the last message, if that is a request: in a prompt, but not in the
# conversation that is trained, where an answer follows. Before the first request it stands in both.
STEADY_SYSTEM = ("if loop.last and system_message is defined", "if loop.first and system_message is defined")
# Put before a base's own template; {mode} is what was trained, and a request may ask for another.
SHOWN_TOOLS = """\
{{%- set shown_tools = tools_in_prompt | default("{mode}") -%}}
{{%- if shown_tools == "names" and tools -%}}
    {{%- set ns = namespace(shown="Tools:") -%}}
    {{%- for tool in tools -%}}
        {{%- set ns.shown = ns.shown + (" " if loop.first else ", ") + tool.function.name -%}}
    {{%- endfor -%}}
    {{%- if messages[0].role == "system" -%}}
        {{%- set ns.shown = messages[0].content + "\\n\\n" + ns.shown -%}}
        {{%- set messages = messages[1:] -%}}
    {{%- endif -%}}
    {{%- set messages = [{{"role": "system", "content": ns.shown}}] + messages -%}}
{{%- endif -%}}
{{%- if shown_tools != "full" -%}}
    {{%- set tools = {nothing} -%}}
{{%- endif -%}}
"""


def template_for(mode: str = "none", name: str = "smollm2") -> str:
    """The template's text for a tools-in-prompt mode; a caller may still choose another with `tools_in_prompt`."""
    # Without the last line break: template engines disagree on whether it is part of the text.
    return read(mode, f"{name}.jinja").rstrip("\n").replace(DEFAULT_MODE, f'default("{mode}")')


def as_shipped(template: str, mode: str) -> str:
    """A base model's own template as it is trained and served; one that has been through here only changes its mode."""
    if known := name_of(template):
        return template_for(mode, known[0])
    pinned = with_pinned_day(split(template)[1].rstrip("\n")).replace(*STEADY_SYSTEM)
    return SHOWN_TOOLS.format(mode=mode, nothing=nothing(pinned)) + pinned


def with_pinned_day(own: str) -> str:
    """The template with PINNED_DAY for every day that it would ask for, or be given: llama.cpp hands Llama's today."""
    pinned = NOW.sub(lambda match: f'"{PINNED_DAY.strftime(match[2])}"', own)
    given = '{%- set date_string = "' + PINNED_DAY.strftime("%d %b %Y") + '" -%}\n'
    return given + pinned if "date_string" in pinned and not pinned.startswith(given) else pinned


def nothing(own: str) -> str:
    """How to tell this template that there are no tools: Hermes' loops over them unasked, the others ask first."""
    return "none" if re.search(r"if [^%]*\btools\b", own) else "[]"


def split(template: str) -> tuple[str | None, str]:
    """(the mode that as_shipped gave it, the base's own template); (None, template) for one that was not shipped."""
    for mode, empty in itertools.product(MODES, ("none", "[]")):
        start = SHOWN_TOOLS.format(mode=mode, nothing=empty)
        if template.startswith(start):
            return mode, template.removeprefix(start)
    return None, template


def own_template(own, mode: str | None) -> str | None:
    """A tokenizer's own template, of several the one for tools, as shipped in that mode; unchanged without a mode."""
    if isinstance(own, dict):
        own = own.get("tool_use") or own.get("default")
    return as_shipped(own, mode) if own and mode else own


def read(mode: str, filename: str) -> str:
    path = FOLDER / filename
    if mode not in MODES:
        raise CannotRun(f"tools in prompt is '{mode}'; choose one of: {', '.join(MODES)}.")
    if not path.is_file():
        known = ", ".join(sorted(file.stem for file in FOLDER.glob("*.jinja")))
        raise CannotRun(f"there is no chat template '{path.stem}' in {FOLDER}. Known: {known}.")
    return path.read_text(encoding="utf-8")


def name_of(text: str) -> tuple[str, str] | None:
    """(name, mode) of the shipped template that this text is; None for any other template."""
    for path in sorted(FOLDER.glob("*.jinja")):
        for mode in MODES:
            if template_for(mode, path.stem) == text:
                return path.stem, mode
    return None
