"""Requirements and locks: what is imported is asked for, what is asked for is locked, and a lock names no place."""

import ast
import re
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

from lib.needs import REQUIREMENTS, asked_packages, locked_versions

OURS = {"lib", "scripts", "evaluator", "tests"}
DISTRIBUTION = {"yaml": "pyyaml", "mlx_lm": "mlx-lm", "jsonschema_rs": "jsonschema-rs", "_pytest": "pytest"}


def files_of(*folders, heavy=None):
    """The Python files of our folders; heavy: those that may import a trainer (True), or the others (False)."""
    files = [path for folder in folders for path in sorted(Path(folder).rglob("*.py"))]
    return [path for path in files if heavy is None or path.stem.endswith(("_torch", "_mlx")) == heavy]


def third_party(files):
    """import name -> the first file that uses it; imports inside functions count."""
    found = {}
    for path in files:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and not node.level:
                names = [node.module]
            for name in (name.split(".")[0] for name in names):
                if name not in sys.stdlib_module_names and name not in OURS:
                    found.setdefault(name, path)
    return found


def not_asked(used, asked):
    """import name -> file, for imports whose package is in no list."""
    packages = {name: DISTRIBUTION.get(name, name).lower().replace("_", "-") for name in used}
    return {name: str(used[name]) for name, package in packages.items() if package not in asked}


def requirement_lines(path):
    """Requirement objects of a file and of those it includes."""
    for line in Path(path).read_text(encoding="utf-8").splitlines():
        line = line.split("#")[0].strip()
        if line.startswith("-r "):
            yield from requirement_lines(line[3:].strip())
        elif line:
            yield Requirement(line)


def test_everything_imported_is_asked_for():
    used = third_party(files_of("lib", "scripts", "evaluator", "tests"))
    assert {"click", "requests", "torch"} <= set(used)
    asked = {name for requirements, _ in REQUIREMENTS.values() for name in asked_packages(requirements)}
    assert not_asked(used, asked) == {}


def test_the_light_part_asks_for_what_the_light_code_imports():
    used = third_party(files_of("lib", "scripts", "evaluator", heavy=False))
    assert len(used) >= 5
    assert not_asked(used, set(asked_packages("requirements-base.txt"))) == {}


@pytest.mark.parametrize("platform", sorted(REQUIREMENTS))
def test_the_lock_satisfies_every_requirement(platform):
    requirements, lock = REQUIREMENTS[platform]
    locked = locked_versions(lock)
    wanted = list(requirement_lines(requirements))
    assert len(wanted) > 15
    for requirement in wanted:
        name = requirement.name.lower().replace("_", "-")
        assert Version(locked[name]) in requirement.specifier, f"{requirement} is locked as {locked[name]}"


@pytest.mark.parametrize("platform", sorted(REQUIREMENTS))
def test_a_lock_holds_exact_versions_and_names_no_index_or_path(platform):
    lines = Path(REQUIREMENTS[platform][1]).read_text(encoding="utf-8").splitlines()
    assert lines[0].startswith("# Written by `make lock`")
    assert len(lines) > 50
    assert [line for line in lines[1:] if not re.fullmatch(r"[a-z0-9.-]+==[\w.]+", line)] == []


def test_the_cpu_lock_asks_for_no_cuda():
    locked = locked_versions("requirements.lock")
    assert [name for name in locked if name.startswith(("nvidia-", "cuda-", "triton"))] == []
    assert locked["torch"] == "2.13.0"


def test_the_versions_that_bite_are_held():
    cpu, cuda, mac = (locked_versions(REQUIREMENTS[name][1]) for name in ("cpu", "cuda", "mlx"))
    assert Version(cpu["trl"]) >= Version("1.16")
    assert Version(cuda["trl"]) < Version("1.16") and Version(cuda["datasets"]) < Version("5")
    assert Version("2026.10.7") <= Version(cuda["unsloth"]) < Version("2026.11")
    assert mac["mlx-lm"] == "0.32.2"


@pytest.mark.parametrize("path", [".", "configs", ".ci", ".github"])
def test_no_file_of_the_house_names_an_index_of_its_own(path):
    files = [file for file in Path(path).glob("*") if file.is_file() and file.name != "README.md"]
    files += [file for file in Path(path).glob("*/*") if file.is_file() and path != "."]
    assert files
    words = ("--index-url", "--extra-index-url =", "find-links /", "--trusted-host")
    assert [
        f"{file}: {word}"
        for file in files
        for word in words
        if word in file.read_text(encoding="utf-8", errors="ignore")
    ] == []
