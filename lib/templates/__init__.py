"""Chat templates that we ship with tokenizer, GGUF and Modelfile, for bases whose own template ignores tools."""

from pathlib import Path

from lib.errors import CannotRun

FOLDER = Path(__file__).parent
MODES = ("none", "names", "full")
DEFAULT_MODE = 'default("none")'


def template_for(mode: str = "none", name: str = "smollm2") -> str:
    """The template's text for a tools-in-prompt mode; a caller may still choose another with `tools_in_prompt`."""
    # Without the last line break: template engines disagree on whether it is part of the text.
    return read(mode, f"{name}.jinja").rstrip("\n").replace(DEFAULT_MODE, f'default("{mode}")')


def ollama_template_for(mode: str = "none", name: str = "smollm2") -> str:
    """The same template in the Go form that an Ollama Modelfile wants."""
    return read(mode, f"{name}.gotmpl").replace('"MODE"', f'"{mode}"')


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
