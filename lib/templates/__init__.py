"""Chat templates that we ship with tokenizer, GGUF and Modelfile, for bases whose own template ignores tools."""

from pathlib import Path

from lib.errors import CannotRun

FOLDER = Path(__file__).parent
MODES = ("none", "names", "full")
DEFAULT_MODE = 'default("none")'


def template_for(mode: str = "none", name: str = "smollm2") -> str:
    """The template's text for a tools-in-prompt mode; a caller may still choose another with `tools_in_prompt`."""
    path = FOLDER / f"{name}.jinja"
    if mode not in MODES:
        raise CannotRun(f"tools in prompt is '{mode}'; choose one of: {', '.join(MODES)}.")
    if not path.is_file():
        known = ", ".join(sorted(file.stem for file in FOLDER.glob("*.jinja")))
        raise CannotRun(f"there is no chat template '{name}' in {FOLDER}. Known: {known}.")
    # Without the last line break: template engines disagree on whether it is part of the text.
    return path.read_text(encoding="utf-8").rstrip("\n").replace(DEFAULT_MODE, f'default("{mode}")')
