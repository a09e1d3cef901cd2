"""The Makefile: targets expand on every platform, wrong settings are named, changed settings rebuild."""

import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from tests.commands import help_of

PLATFORMS = ("cpu", "cuda", "mlx")
HELP_LINE = re.compile(r"^([a-z0-9-]+):.*## (.+)$", re.MULTILINE)
MODULE = re.compile(r"python -m ((?:scripts|evaluator)[.\w]*)")
# All switches on and every setting given, so that every option of a command line shows.
SETTINGS = (
    "YES=1", "RESUME=1", "RUN=runs/x", "MODEL=m", "SFT_RUN=runs/y", "OUT=o", "OLD=p", "A=a", "B=b", "TEACHER=t",
    "TEACHER_URL=http://u", "COUNT=3", "TOOLS=mine.json", "REPO=me/model", "METHOD=lora", "GGUF=1", "PRIVATE=1",
    "UPDATE=1", "TO=axolotl", "FILE=f", "Q=why?", "WITH=gguf", "VAULT=spokes", "EXECUTE=1",
)  # fmt: skip
WITH_DATA = ("import",)  # targets that have no files of their own


def make(*arguments, folder=".", **environment):
    """The finished process of `make`, with a clean environment and no terminal."""
    clean = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": "/nonexistent", "LC_ALL": "C", **environment}
    return subprocess.run(
        ["make", *arguments], cwd=folder, env=clean, capture_output=True, text=True, stdin=subprocess.DEVNULL
    )


def public_targets():
    targets = [name for name, _ in HELP_LINE.findall(Path("Makefile").read_text(encoding="utf-8"))]
    assert len(targets) >= 20
    return targets


@pytest.fixture
def house(tmp_path):
    """A copy of what the Makefile reads, with stand-in commands: (folder, run) where run(...) calls make there."""
    for name in ("Makefile", "configs"):
        source = Path(name)
        (shutil.copytree if source.is_dir() else shutil.copy)(source, tmp_path / name)
    for name in ("datasets", "lib", "scripts"):
        (tmp_path / name).mkdir()
    for name in ("syngen_tools_sft", "syngen_tools_kto"):
        (tmp_path / "datasets" / f"{name}.jsonl").write_text("{}\n")
    # Stands for Python: notes its arguments, writes what --run-file or --report names.
    tool = tmp_path / "tool"
    tool.write_text(
        "#!/bin/sh\n"
        'echo "$@" >> calls\n'
        "env > environment\n"
        "module=$2\n"
        '[ "$FAIL" = "$module" ] && exit 1\n'
        "while [ $# -gt 0 ]; do\n"
        '  case "$1" in\n'
        '    --run-file) echo "runs/$(wc -l < calls | tr -d " ")-$module" > "$2";;\n'
        '    --report) echo "{}" > "$2";;\n'
        "  esac\n"
        "  shift\n"
        "done\n"
    )
    tool.chmod(0o755)

    def run(*arguments, **environment):
        calls = tmp_path / "calls"
        calls.unlink(missing_ok=True)
        time.sleep(0.02)  # two files written within one tick of the kernel's clock look equally old to make
        answer = make("PYTHON=./tool", "PLATFORM=cpu", *arguments, folder=tmp_path, **environment)
        lines = calls.read_text().splitlines() if calls.exists() else []
        return answer, [line.split()[1].removeprefix("scripts.") for line in lines]

    return tmp_path, run


@pytest.mark.parametrize("platform", PLATFORMS)
def test_every_target_expands_to_scripts_that_exist(platform):
    for target in public_targets():
        data = ("DATA=README.md",) if target in WITH_DATA else ()
        answer = make("-n", target, f"PLATFORM={platform}", *SETTINGS, *data)
        assert answer.returncode == 0, f"{target}: {answer.stderr}"
        assert "warning" not in answer.stderr.lower(), answer.stderr
        for module in MODULE.findall(answer.stdout):
            path = Path(*module.split("."))
            assert path.with_suffix(".py").is_file() or (path / "__main__.py").is_file(), f"{target} runs {module}"


def options_of(module):
    return set(re.findall(r"--[a-z][a-z-]+", help_of(module)))


@pytest.mark.parametrize("dry", ["0", "1"])
def test_every_option_the_makefile_gives_is_known_to_the_script(dry):
    given = {}
    for target in public_targets():
        text = make("-n", target, "PLATFORM=cpu", f"DRY_RUN={dry}", *SETTINGS).stdout.replace("\\\n", " ")
        for line in text.splitlines():
            if match := re.search(r"-m ((?:scripts|evaluator)[.\w]*)(.*)", line):
                given.setdefault(match[1], set()).update(re.findall(r" (--[a-z][a-z-]+)", match[2]))
    assert {"scripts.sft", "scripts.kto", "scripts.demo", "evaluator"} <= set(given)
    unknown = {module: options - options_of(module) for module, options in given.items()}
    assert {module: options for module, options in unknown.items() if options} == {}


@pytest.mark.parametrize("platform", PLATFORMS)
def test_platform_files_set_variables_and_hold_no_rules(platform):
    lines = Path(f"configs/platforms/{platform}.mk").read_text(encoding="utf-8").splitlines()
    settings = [line for line in lines if line.strip() and not line.startswith("#")]
    assert settings
    assert [line for line in settings if "?=" not in line] == []


@pytest.mark.parametrize("platform", PLATFORMS)
def test_platforms_name_files_that_exist(platform):
    shown = dict(re.findall(r"^(\w+) +(\S+)", make("vars", f"PLATFORM={platform}").stdout, re.MULTILINE))
    assert Path(shown["LOCK"]).is_file()
    assert shown["PLATFORM"] == platform


def test_help_lists_every_public_target_under_a_heading():
    answer = make("help", "PLATFORM=cpu")
    assert answer.returncode == 0
    listed = re.findall(r"^  ([a-z0-9-]+) ", answer.stdout, re.MULTILINE)
    assert listed == public_targets()
    assert "Start here" in answer.stdout and "Develop" in answer.stdout
    assert make("PLATFORM=cpu").stdout == answer.stdout


def test_every_phony_target_without_help_is_internal():
    text = Path("Makefile").read_text(encoding="utf-8")
    phony = {name for line in re.findall(r"^\.PHONY: (.+)$", text, re.MULTILINE) for name in line.split()}
    assert phony - set(public_targets()) == {"FORCE", "dry-sft", "dry-kto"}


def test_only_gnu_make_3_81_features_are_used():
    text = Path("Makefile").read_text(encoding="utf-8")
    body = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
    newer = (
        r"\.ONESHELL",
        r"\.SHELLFLAGS",
        r"\$\(file ",
        r"^\w+ *!=",
        r"&:",
        r"\$\(let ",
        r"\$\(intcmp ",
        r"^undefine ",
    )
    assert [pattern for pattern in newer if re.search(pattern, body, re.MULTILINE)] == []


def test_sizes_are_those_of_the_configuration():
    choices = re.search(r"one-of,SIZE,([^)]+)\)", Path("Makefile").read_text(encoding="utf-8")).group(1).split()
    assert choices == list(yaml.safe_load(Path("configs/sizes.yaml").read_text(encoding="utf-8")))


@pytest.mark.parametrize(
    ("name", "value", "choice"),
    [
        ("PLATFORM", "tpu", "cuda mlx cpu"),
        ("PLATFORM", "", "cuda mlx cpu"),
        ("SIZE", "8b", "tiny 3b 7b 13b 20b"),
        ("SIZE", "3b 7b", "tiny 3b 7b 13b 20b"),
        ("BACKEND", "lmstudo", "llamacpp ollama lmstudio vllm openai"),
        ("FORMAT", "xml", "native text"),
        ("TOOLS_IN_PROMPT", "all", "none names full"),
        ("METHOD", "gguf", "merged_16bit merged_4bit lora"),
        ("SIZE", "%", "tiny 3b 7b 13b 20b"),
    ],
)
def test_a_wrong_setting_is_named_with_the_choices(name, value, choice):
    answer = make("vars", f"{name}={value}")
    assert answer.returncode == 2
    assert f"{name} is '{value}'; choose one of: {choice}" in answer.stderr


@pytest.mark.parametrize("target", ["validate", "coverage", "sft", "kto", "inspect"])
def test_missing_data_is_named_before_anything_starts(target, house):
    _, run = house
    answer, calls = run(target, "DATA=datasets/nope.jsonl")
    assert (answer.returncode, calls) == (2, [])
    assert "DATA names 'datasets/nope.jsonl', which does not exist" in answer.stderr


def test_empty_data_is_refused(house):
    _, run = house
    answer, calls = run("validate", "DATA=")
    assert (answer.returncode, calls) == (2, [])
    assert "DATA is empty" in answer.stderr


def test_vars_says_where_a_value_comes_from(tmp_path):
    answer = make("vars", "SIZE=3b", PLATFORM="cpu", FORMAT="text")
    origins = dict(re.findall(r"^(\w+) .*\((.+)\)$", answer.stdout, re.MULTILINE))
    assert origins["SIZE"] == "command line"
    assert origins["FORMAT"] == "environment"
    assert origins["BACKEND"] == "file"


def test_local_mk_beats_the_platform_and_loses_to_the_command_line(house):
    folder, run = house
    (folder / "local.mk").write_text("SIZE = 3b\n")
    assert re.search(r"SIZE +3b ", run("vars")[0].stdout)
    assert re.search(r"SIZE +13b ", run("vars", "SIZE=13b")[0].stdout)


def test_an_unchanged_dataset_is_not_validated_twice(house):
    folder, run = house
    assert run("validate")[1] == ["validate", "validate"]
    assert run("validate")[1] == []
    (folder / "build/validated/syngen_tools_kto.json").unlink()
    assert run("validate")[1] == ["validate"]


def test_data_is_validated_each_time_it_is_named(house):
    _, run = house
    for _ in range(2):
        assert run("validate", "DATA=datasets/syngen_tools_sft.jsonl")[1] == ["validate"]


def test_a_dataset_with_problems_leaves_no_report_and_starts_no_training(house):
    folder, run = house
    answer, calls = run("sft", FAIL="scripts.validate")
    assert answer.returncode != 0
    assert calls == ["validate"]
    assert not list(folder.glob("build/validated/*.json"))


def test_training_happens_once_for_the_same_settings(house):
    _, run = house
    answer, calls = run("sft")
    assert calls == ["validate", "sft"]
    assert answer.stdout.splitlines()[-1] == "SFT run: runs/2-scripts.sft"
    assert run("sft")[1] == []


def test_changed_flags_train_again_once(house):
    _, run = house
    run("sft")
    assert run("sft", "SFT_ARGS=--epochs 1")[1] == ["sft"]
    assert run("sft", "SFT_ARGS=--epochs 1")[1] == []


def test_changed_recipe_trains_again_and_changed_code_does_not(house):
    folder, run = house
    run("sft")
    (folder / "lib/sft_torch.py").write_text("")
    assert run("sft")[1] == ["validate"]
    recipe = folder / "configs/sft.yaml"
    future = (folder / "build/cpu-tiny-native-none/sft.run").stat().st_mtime + 10
    os.utime(recipe, (future, future))
    assert run("sft")[1] == ["sft"]


def test_resume_and_yes_do_not_count_as_other_settings(house):
    _, run = house
    run("sft")
    assert run("sft", "RESUME=1", "YES=1")[1] == []


def test_switches_reach_the_script(house):
    folder, run = house
    run("sft", "RESUME=1", "YES=1")
    line = (folder / "calls").read_text().splitlines()[-1]
    assert "--resume --yes" in line


def test_a_switch_set_to_zero_is_off(house):
    folder, run = house
    run("sft", "RESUME=0", "YES=no", "DRY_RUN=0")
    line = (folder / "calls").read_text().splitlines()[-1]
    assert "--run-file" in line and "--resume" not in line and "--yes" not in line


def test_a_dry_run_leaves_no_trace_of_a_run(house):
    folder, run = house
    answer, calls = run("sft", "DRY_RUN=1")
    assert (answer.returncode, calls) == (0, ["sft"])
    assert "--dry-run" in (folder / "calls").read_text()
    assert not list(folder.glob("build/*/sft.run"))
    assert run("sft")[1] == ["validate", "sft"]


def test_kto_starts_from_the_run_that_sft_left_and_follows_a_new_one(house):
    folder, run = house
    run("sft")
    run("kto")
    assert "--from-run runs/2-scripts.sft" in (folder / "calls").read_text()
    assert run("kto")[1] == []
    run("sft", "SFT_ARGS=--epochs 1")
    assert run("kto")[1] == ["kto"]


def test_formats_keep_their_own_runs(house):
    _, run = house
    run("sft")
    assert run("sft", "FORMAT=text")[1] == ["sft"]
    assert run("sft")[1] == []
    assert run("sft", "FORMAT=text")[1] == []


def test_a_failed_training_leaves_no_run_file(house):
    folder, run = house
    answer, _ = run("sft", FAIL="scripts.sft")
    assert answer.returncode != 0
    assert not list(folder.glob("build/*/sft.run"))


def test_a_quote_in_the_arguments_survives(house):
    _, run = house
    assert run("sft", 'SFT_ARGS=--project "it\'s"')[0].returncode == 0
    assert run("sft", 'SFT_ARGS=--project "it\'s"')[1] == []


@pytest.mark.parametrize(("platform", "there"), [("cpu", True), ("cuda", False)])
def test_the_cpu_platform_makes_the_allocator_keep_its_memory(house, platform, there):
    folder, run = house
    run("sft", f"PLATFORM={platform}")
    assert ("MALLOC_TRIM_THRESHOLD_=" in (folder / "environment").read_text()) == there


def test_targets_do_not_run_side_by_side(house):
    _, run = house
    assert run("-j4", "sft", "kto")[1] == ["validate", "sft", "validate", "kto"]


def test_clean_keeps_the_runs(house):
    folder, run = house
    (folder / "runs/one").mkdir(parents=True)
    run("sft")
    run("clean")
    assert not (folder / "build").exists()
    assert (folder / "runs/one").is_dir()
    (folder / "build/teacher").mkdir(parents=True)
    (folder / "build/teacher/answer.json").write_text("{}")
    (folder / "build/other").mkdir()
    run("clean")
    assert [path.name for path in (folder / "build").iterdir()] == ["teacher"], "its answers were paid for"


def test_two_installs_at_once_are_refused(house):
    folder, _ = house
    shutil.copy("requirements-base.txt", folder)
    shutil.copy("requirements.lock", folder)
    (folder / ".venv/.busy").mkdir(parents=True)
    answer = make("PLATFORM=cpu", f"PYTHON3={sys.executable}", ".venv/.ready-base", folder=folder)
    assert answer.returncode == 2
    assert "Another make is installing into .venv" in answer.stderr
    assert (folder / ".venv/.busy").is_dir()


@pytest.mark.parametrize("version", ["3.9.6", ""])
def test_an_old_or_missing_python_gives_one_sentence(house, version):
    folder, _ = house
    shutil.copy("requirements-base.txt", folder)
    shutil.copy("requirements.lock", folder)
    old = folder / "python3"
    if version:
        old.write_text(f'#!/bin/sh\n[ "$1" = --version ] && echo Python {version} && exit 0\nexit 1\n')
        old.chmod(0o755)
    answer = make("PLATFORM=cpu", "PYTHON3=./python3", "coverage", folder=folder)
    assert answer.returncode == 2
    assert "Python 3.11 or newer is needed" in answer.stderr
    assert version in answer.stderr
    assert not (folder / ".venv").exists()


def test_a_target_says_which_setting_it_cannot_do_without():
    answer = make("-n", "import", "DATA=README.md")
    assert answer.returncode == 2 and "import needs OUT" in answer.stderr
    assert "import needs DATA" in make("-n", "import", "OUT=x").stderr
    assert "lineage needs FILE" in make("-n", "lineage").stderr
