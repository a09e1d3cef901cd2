"""lib/cards.py and scripts/cards.py: the card of the datasets is valid and says what the files hold."""

import hashlib
import json
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from lib import cards
from lib.errors import CannotRun
from scripts.cards import main
from tests import rows

CARD = Path("datasets/README.md")


def run(*args):
    return CliRunner().invoke(main, [str(arg) for arg in args])


@pytest.fixture
def folder(tmp_path):
    """A folder with two small sets and a card."""
    made = {"sft": [rows.row(), rows.row()], "kto": [rows.row(), rows.row("Which one?", label=False), rows.row()]}
    for name, path in cards.CONFIGS.items():
        text = "".join(json.dumps(row) + "\n" for row in made[name])
        (tmp_path / path).write_text(text)
        (tmp_path / path.replace(".jsonl", ".proof.jsonl")).write_text("{}\n" * len(made[name]))
    (tmp_path / "README.md").write_text("# Mine\n\nWords.\n\n<!-- figures -->\nold\n<!-- /figures -->\n\nMore words.\n")
    return tmp_path


def front(text):
    _, content, _ = text.split("---\n", 2)
    return yaml.safe_load(content)


def test_the_shipped_card_is_up_to_date():
    result = run("--check")
    assert result.exit_code == 0, result.output


def test_the_hub_reads_the_shipped_card():
    from huggingface_hub import DatasetCard

    card = DatasetCard.load(CARD)
    data = card.data.to_dict()
    assert (data["license"], data["language"], data["task_categories"]) == ("mit", ["en"], ["text-generation"])
    assert data["size_categories"] and data["tags"]
    assert {config["config_name"] for config in data["configs"]} == {"sft", "kto"}
    assert card.text.lstrip().startswith("# Datasets")


def test_every_file_a_configuration_names_is_there():
    for config in front(CARD.read_text(encoding="utf-8"))["configs"]:
        for entry in config["data_files"]:
            assert entry["split"] == "train" and (CARD.parent / entry["path"]).stat().st_size > 0


def test_figures_are_those_of_the_files(folder):
    assert run("--folder", folder).exit_code == 0
    text = (folder / "README.md").read_text()
    assert "| sft | 2 | 2 | 0 | 2 | 1 |" in text
    assert "| kto | 3 | 2 | 1 | 2 | 1 |" in text
    for path in folder.glob("*.jsonl"):
        assert f"| {len(path.read_bytes()):,} | `{hashlib.sha256(path.read_bytes()).hexdigest()}` |" in text
    assert "old" not in text


def test_the_words_stay_and_a_second_run_changes_nothing(folder):
    run("--folder", folder)
    once = (folder / "README.md").read_text()
    assert "# Mine\n\nWords.\n" in once and once.endswith("\nMore words.\n")
    assert front(once)["size_categories"] == ["n<1K"]
    assert run("--folder", folder, "--check").exit_code == 0
    run("--folder", folder)
    assert (folder / "README.md").read_text() == once


def test_a_changed_file_is_noticed(folder):
    run("--folder", folder)
    path = folder / cards.CONFIGS["kto"]
    path.write_text(path.read_text().replace("Which one?", "Which two?"))
    before = (folder / "README.md").read_text()
    result = run("--folder", folder, "--check")
    assert result.exit_code == 1 and "python -m scripts.cards" in result.stderr
    assert (folder / "README.md").read_text() == before


def test_a_card_without_a_place_for_figures_is_refused(folder):
    with pytest.raises(CannotRun, match="no place for figures"):
        cards.filled("# Mine\n", folder, ())


@pytest.mark.parametrize(
    ("rows_", "name"), [(999, "n<1K"), (1000, "1K<n<10K"), (7325, "1K<n<10K"), (10_000, "10K<n<100K"), (10**7, "n>1M")]
)
def test_size_categories_are_the_hubs(rows_, name):
    assert cards.size_category(rows_) == name
