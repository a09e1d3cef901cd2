"""README and docs: what they name exists, and what exists is named."""

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from scripts import readme
from tests.commands import help_of

DOCUMENTS = sorted(str(path) for path in [Path("README.md"), *Path("docs").glob("*.md")])
COMMAND = re.compile(r"make ((?:[A-Z_]+=(?:\"[^\"]*\"|\S+) )*)([a-z][a-z0-9-]*)")
MODULE = re.compile(r"python -m ((?:scripts|evaluator)[\w.]*)([^`\n#]*)")
SETTING = re.compile(r"\b([A-Z][A-Z0-9_]+)=")
# Settings that pip and the scripts read from the environment, not make.
ENVIRONMENT = {"PIP_EXTRA_INDEX_URL"}


def text_of(path):
    return Path(path).read_text(encoding="utf-8")


def snippets(path):
    """Every code span and code block of a document: where its commands stand."""
    text = text_of(path)
    blocks = re.findall(r"^```[a-z]*\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    spans = re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL))
    return blocks + spans


def makefile_targets():
    return set(re.findall(r"^([a-z0-9-]+):.*## ", text_of("Makefile"), re.MULTILINE))


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_make_command_names_a_target(document):
    named = {target for snippet in snippets(document) for _, target in COMMAND.findall(snippet)}
    assert named - makefile_targets() == set()


def test_readme_shows_the_five_commands():
    text = text_of("README.md")
    for line in ("make validate DATA=", "make sft SIZE=7b", "make kto", "make gguf", "make eval BACKEND=lmstudio"):
        assert line in text


def test_every_setting_in_readme_is_read_by_the_makefile():
    named = {name for snippet in snippets("README.md") for name in SETTING.findall(snippet)}
    assert {"DATA", "SIZE", "BACKEND"} <= named
    makefile = text_of("Makefile") + text_of("configs/platforms/cpu.mk")
    assert {name for name in named - ENVIRONMENT if not re.search(rf"\b{name}\b", makefile)} == set()


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_module_and_its_options_exist(document):
    for snippet in snippets(document):
        for module, rest in MODULE.findall(snippet):
            options = help_of(module)
            for option in re.findall(r"--[a-z][a-z-]+", rest):
                assert option in options, f"{module} has no {option}"


@pytest.mark.parametrize(
    ("setting", "module"),
    [
        ("SFT_ARGS", "scripts.sft"),
        ("KTO_ARGS", "scripts.kto"),
        ("EVAL_ARGS", "evaluator"),
        ("COMPARE_ARGS", "evaluator.compare"),
        ("LADDER_ARGS", "evaluator.ladder"),
    ],
)
def test_the_options_readme_passes_on_exist(setting, module):
    options = help_of(module)
    named = [
        flag
        for given in re.findall(rf'{setting}="([^"]+)"', text_of("README.md"))
        for flag in given.split()
        if flag[0] == "-"
    ]
    assert named
    assert [flag for flag in named if flag not in options] == []


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_link_leads_to_a_file(document):
    links = re.findall(r"\]\((?!https?:)([^)#]+)\)", text_of(document))
    assert [link for link in links if not (Path(document).parent / link).exists()] == []


def test_table_of_targets_and_file_map_are_up_to_date():
    answer = CliRunner().invoke(readme.main, ["--check"])
    if answer.exit_code == 2 and "not a git checkout" in answer.output:
        pytest.skip("not a git checkout")
    assert answer.exit_code == 0, answer.output


def test_a_file_that_says_nothing_of_itself_is_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("silent.py").write_text("x = 1\n")
    with pytest.raises(readme.CannotRun, match="silent.py"):
        readme.file_map(["silent.py"])


def test_the_file_map_takes_the_first_sentence(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("a.py").write_text('"""Reads a file. And more.\n\nDetails.\n"""\n')
    Path("b.mk").write_text("# Sets things; v1.2 of them.\nX = 1\n")
    assert readme.file_map(["a.py", "b.mk"]).splitlines()[2:] == [
        "- `a.py`: Reads a file",
        "- `b.mk`: Sets things; v1.2 of them",
    ]


def test_no_measured_section_is_empty():
    sections = re.findall(r"<!-- BEGIN measured: ([^>]+) -->\n(.*?)<!-- END", text_of("README.md"), re.DOTALL)
    assert len(sections) == 3
    assert [name for name, body in sections if not body.strip()] == []
