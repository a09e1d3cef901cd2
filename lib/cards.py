"""The dataset card of the shipped sets, in the Hugging Face Hub's format, with figures counted from the files.

https://huggingface.co/docs/hub/datasets-cards: YAML front matter for the Hub and its loader, then Markdown for people.
"""

import hashlib
import re
from pathlib import Path

from lib.chat import example_from_row
from lib.errors import CannotRun
from lib.jsonl import read_rows

# Configuration on the Hub -> file. The first is the one that load_dataset takes when none is named.
CONFIGS = {"sft": "syngen_tools_sft.jsonl", "kto": "syngen_tools_kto.jsonl"}
FRONT = {
    "pretty_name": "Toolset Training",
    "license": "mit",
    "language": ["en"],
    "task_categories": ["text-generation"],
    "tags": ["function-calling", "tool-use", "agents", "sft", "kto", "synthetic", "mcp", "obsidian"],
}
SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))
FRONT_MATTER = re.compile(r"\A---\n.*?\n---\n+", re.DOTALL)
FIGURES = re.compile(r"(<!-- figures -->\n).*?(<!-- /figures -->)", re.DOTALL)


def figures(path, known_tools) -> dict:
    """Rows, labels, calls, and called tools that exist, of one dataset."""
    rows = true = calls = 0
    tools = set()
    for _, row in read_rows(path):
        example, _ = example_from_row(row)
        rows += 1
        true += example.label is True
        calls += len(example.calls)
        tools |= {call.name for call in example.calls} & set(known_tools)
    return {"rows": rows, "true": true, "false": rows - true, "calls": calls, "tools": len(tools)}


def identity(path) -> dict:
    """Lines, bytes and digest of a file."""
    data = Path(path).read_bytes()
    return {"lines": data.count(b"\n"), "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}


def size_category(rows: int) -> str:
    """The Hub's word for that many rows."""
    return next((name for limit, name in SIZES if rows < limit), "n>1M")


def front_matter(rows: int, files: dict[str, str] = CONFIGS) -> str:
    """The YAML between the lines of dashes, for that many rows in all; files: configuration -> path."""
    import yaml

    configs = [{"config_name": name, "data_files": [{"split": "train", "path": path}]} for name, path in files.items()]
    configs[0]["default"] = True
    content = FRONT | {"size_categories": [size_category(rows)], "configs": configs}
    return f"---\n{yaml.safe_dump(content, sort_keys=False, allow_unicode=True)}---\n\n"


def figure_table(folder, counted: dict[str, dict]) -> str:
    """Markdown: one line for each dataset, then size and digest of every file."""
    lines = ["| set | rows | true | false | calls | tools |", "|---|---|---|---|---|---|"]
    for name, found in counted.items():
        cells = (f"{found[key]:,}" for key in ("rows", "true", "false", "calls", "tools"))
        lines.append(f"| {name} | {' | '.join(cells)} |")
    lines += ["", "| file | lines | bytes | sha256 |", "|---|---|---|---|"]
    for path in CONFIGS.values():
        for file in (path, path.replace(".jsonl", ".proof.jsonl")):
            found = identity(Path(folder) / file)
            lines.append(f"| `{file}` | {found['lines']:,} | {found['bytes']:,} | `{found['sha256']}` |")
    return "\n".join(lines)


def filled(text: str, folder, known_tools) -> str:
    """The card with front matter and figures of the files in the folder; its words stay as they are."""
    if not FIGURES.search(text):
        raise CannotRun("the card has no place for figures; put <!-- figures --> and <!-- /figures --> on two lines.")
    counted = {name: figures(Path(folder) / path, known_tools) for name, path in CONFIGS.items()}
    table = figure_table(folder, counted)
    body = FIGURES.sub(lambda match: f"{match[1]}{table}\n{match[2]}", FRONT_MATTER.sub("", text))
    return front_matter(sum(found["rows"] for found in counted.values())) + body
