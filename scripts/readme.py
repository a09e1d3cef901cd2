"""Write README's table of targets and its file map from the Makefile and from what each file says of itself.

\b
    python -m scripts.readme
    python -m scripts.readme --check

With --check nothing is written; exit 1 when README says something else.
"""

import ast
import re
import subprocess
from pathlib import Path

import click

from lib.cli import command, log
from lib.errors import CannotRun

README = Path("README.md")
# What a file without a docstring or a first comment is for; a folder stands for all that is in it.
TOLD = {
    "Makefile": "targets and their order; the only place that chains steps",
    "LICENSE": "MIT",
    "pyproject.toml": "settings of ruff and pytest; nothing is packaged",
    "requirements.lock": "exact versions for the CPU platform",
    "requirements-cuda.lock": "exact versions for NVIDIA GPUs",
    "requirements-mac.lock": "exact versions for Apple Silicon",
    ".env.example": "tokens and server addresses: copy to .env",
    ".gitignore": "outputs, secrets and model files",
    ".gitattributes": "line ends",
    ".ci/run": "the whole test suite on an empty machine",
    ".github/workflows/ci.yml": "the same on GitHub, and the Makefile on macOS",
    "configs/tools.json": "the 47 tools as JSON Schema; the shared context once",
    "datasets/": "the shipped sets, a .proof.jsonl beside each",
    "datasets/scenarios/": "hand-written material the sets are made from; its README says how to add to it",
    "docs/": "data-format.md: rows, proofs, reports; kto.md: losses, batches; windows.md; gates/: the sets measured",
    "evaluator/page.css": "its looks: light and dark, narrow and wide",
    "evaluator/page.js": "its list of cases: filters, and the case that is opened",
    "lib/templates/train_trl.py.txt": "the plain trl script that make outgrow writes",
    "lib/training_page.js": "its curves read by pointer or arrow keys",
    "evaluator/prompts/": "the prompt sets and the vaults they are asked in",
    "tests/": "test_<module>.py; test_layout, test_makefile, test_readme and test_scripts hold the house itself",
}
LEFT_OUT = ("README.md",)


@command(help=__doc__)
@click.option("--check", is_flag=True, help="Only compare.")
@click.pass_context
def main(ctx, check):
    old = README.read_text(encoding="utf-8")
    new = filled(old, {"targets": target_table(), "files": file_map(tracked_files())})
    if check:
        if new != old:
            log("README.md is behind the Makefile or the files. Write it again: python -m scripts.readme")
        ctx.exit(1 if new != old else 0)
    README.write_text(new, encoding="utf-8")


def filled(text, parts):
    """The text with what stands between `<!-- name -->` and `<!-- /name -->` replaced by each part."""
    for name, part in parts.items():
        pattern = re.compile(f"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.DOTALL)
        if not pattern.search(text):
            raise CannotRun(f"README.md has no place marked {name}.")
        text = pattern.sub(lambda match, part=part: f"{match[1]}{part}\n{match[2]}", text)
    return text


def target_table():
    """A Markdown table of the targets, in the Makefile's order and sections."""
    lines = ["| target | what it does |", "|---|---|"]
    for line in Path("Makefile").read_text(encoding="utf-8").splitlines():
        if line.startswith("##@ "):
            lines.append(f"| | **{line[4:]}** |")
        elif match := re.match(r"([a-z0-9-]+):.*## (.+)", line):
            lines.append(f"| `make {match[1]}` | {match[2]} |")
    return "\n".join(lines)


def tracked_files():
    """Every file that git tracks or would track, as text paths."""
    answer = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"], capture_output=True, text=True
    )
    if answer.returncode != 0:
        raise CannotRun("not a git checkout; the file map lists what git tracks.")
    return sorted({path for path in answer.stdout.splitlines() if Path(path).is_file()})


def file_map(files):
    """A Markdown list, one line a file or told folder, grouped by folder."""
    groups = {}
    for path in files:
        entry = next(
            (name for name in sorted(TOLD, reverse=True) if name.endswith("/") and path.startswith(name)), path
        )
        if entry in LEFT_OUT or (path.endswith("__init__.py") and not words_of(path)):
            continue
        folder = entry.rstrip("/").rpartition("/")[0]
        groups.setdefault(folder, {})[entry] = words_of(entry)
    silent = [path for entries in groups.values() for path, words in entries.items() if not words]
    if silent:
        raise CannotRun(f"nothing says what these files are for: {', '.join(silent)}.")
    lines = []
    for folder in sorted(groups, key=lambda name: (name.startswith("."), name)):
        lines.append(f"\n**{folder}/**\n" if folder else "\n**top level**\n")
        lines += [f"- `{path}`: {words}" for path, words in groups[folder].items()]
    return "\n".join(lines).strip() + "\n"


def words_of(path):
    """What a file is for: told above, or the first sentence of its docstring or first comment; "" when nothing says."""
    if path in TOLD:
        return TOLD[path]
    text = Path(path).read_text(encoding="utf-8")
    if path.endswith(".py"):
        words = (ast.get_docstring(ast.parse(text)) or "").split("\n\n")[0].replace("\n", " ")
    else:
        match = re.match(r"(?:\{\{-? ?/\*|\{#-?|#) *(.+?) *(?:-?#\}|\*/ ?-?\}\})?$", text, re.MULTILINE)
        words = match[1] if match else ""
    return re.split(r"(?<=[a-z0-9)])\. ", words)[0].rstrip(".")


if __name__ == "__main__":
    main()
