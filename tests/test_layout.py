"""The shape of the house: who imports whom, how long files and functions may be, what must not exist."""

import ast
import functools
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGES = ("lib", "scripts", "evaluator", "tests")
# What each layer may import of ours. A benchmark measures the evaluator too, so scripts may use it.
MAY_IMPORT = {
    "lib": {"lib"},
    "evaluator": {"lib", "evaluator"},
    "scripts": {"lib", "evaluator"},
    "tests": {"lib", "evaluator", "scripts", "tests"},
}
TORCH = {"torch", "transformers", "trl", "peft", "accelerate", "datasets", "unsloth", "bitsandbytes"}
MLX = {"mlx", "mlx_lm"}
MAX_FILE, MAX_FUNCTION, MAX_PARAMETERS = 400, 80, 7


def python_files(*packages):
    files = [Path(package).rglob("*.py") for package in packages]
    found = sorted(path for group in files for path in group)
    assert len(found) >= 5, f"only {len(found)} Python files under {packages}"
    return found


@functools.cache
def nodes_of(path):
    """What imports, functions and calls a file holds, at any depth; each file is parsed once for all tests."""
    wanted = ast.Import | ast.ImportFrom | ast.FunctionDef | ast.AsyncFunctionDef | ast.Call
    text = path.read_text(encoding="utf-8")
    return [node for node in ast.walk(ast.parse(text)) if isinstance(node, wanted)]


@pytest.fixture(scope="module", autouse=True)
def forgotten():
    """The parsed files take a hundred megabytes, which the tests that follow may want."""
    yield
    nodes_of.cache_clear()


def imported(path):
    """(line, full module name) of every import in a file, at any depth; relative ones resolved."""
    package = list(path.with_suffix("").parts[:-1])
    for node in nodes_of(path):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join(base + ([node.module] if node.module else []))
            yield node.lineno, module
            yield from ((node.lineno, f"{module}.{alias.name}") for alias in node.names)


def functions(path):
    """Every function of a file, methods and nested ones included."""
    return [node for node in nodes_of(path) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]


def top(module):
    return module.split(".")[0]


def forbidden(path, allowed, ours=PACKAGES):
    return [f"{path}:{line}: {name}" for line, name in imported(path) if top(name) in ours and top(name) not in allowed]


@pytest.mark.parametrize("layer", ["lib", "evaluator", "scripts"])
def test_a_layer_imports_only_what_lies_below_it(layer):
    found = [fault for path in python_files(layer) for fault in forbidden(path, MAY_IMPORT[layer])]
    assert found == []


def test_an_import_across_layers_is_seen(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("lib").mkdir()
    path = Path("lib/planted.py")
    path.write_text("def f():\n    from scripts import demo\n    import evaluator.runner\n")
    assert [fault.split(": ")[1] for fault in forbidden(path, MAY_IMPORT["lib"])] == [
        "scripts",
        "scripts.demo",
        "evaluator.runner",
    ]


def test_only_torch_and_mlx_files_import_the_trainers():
    files = python_files("lib", "scripts", "evaluator")
    found = []
    for path in files:
        banned = (TORCH | MLX) - (TORCH if path.stem.endswith("_torch") else set())
        banned -= MLX if path.stem.endswith("_mlx") else set()
        found += [f"{path}:{line}: {name}" for line, name in imported(path) if top(name) in banned]
    assert found == []


def test_modules_that_windows_lacks_are_imported_only_where_they_are_used():
    posix = {"resource", "fcntl", "pwd", "grp", "termios", "tty", "pty"}
    found = []
    for path in python_files("lib", "scripts", "evaluator"):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            names = (
                [alias.name for alias in node.names] if isinstance(node, ast.Import) else [getattr(node, "module", "")]
            )
            found += [f"{path}:{node.lineno}: {name}" for name in names if name in posix]
    assert found == []


def test_the_vault_knows_only_the_toolset_and_errors():
    files = python_files("lib/vault")
    allowed = ("lib.vault", "lib.toolset", "lib.errors", "lib.paths")
    found = [
        f"{path}:{line}: {name}"
        for path in files
        for line, name in imported(path)
        if top(name) in PACKAGES and name not in ("lib",) and not name.startswith(allowed)
    ]
    assert found == []


def test_trainers_know_neither_simulator_nor_generator():
    trainers = [path for path in python_files("lib") if path.stem.endswith(("_torch", "_mlx"))]
    assert trainers, "no *_torch.py or *_mlx.py in lib"
    found = [
        f"{path}:{line}: {name}"
        for path in trainers
        for line, name in imported(path)
        if name.startswith(("lib.vault", "lib.synth"))
    ]
    assert found == []


@pytest.mark.parametrize("package", PACKAGES)
def test_every_package_is_marked_as_one(package):
    folders = [path for path in Path(package).rglob("*") if path.is_dir() and any(path.glob("*.py"))]
    missing = [str(path) for path in [Path(package), *folders] if not (path / "__init__.py").is_file()]
    assert missing == []


def test_the_datasets_folder_does_not_hide_the_library():
    assert not Path("datasets/__init__.py").exists()
    assert not list(Path("datasets").rglob("*.py"))


@pytest.mark.parametrize("folder", ["lib", "scripts", "datasets", "evaluator", "tests", "configs"])
def test_git_does_not_ignore_our_folders(folder):
    answer = subprocess.run(["git", "check-ignore", "-q", f"{folder}/new_file.py"], capture_output=True)
    if answer.returncode == 128:
        pytest.skip("not a git checkout")
    assert answer.returncode == 1


@pytest.mark.parametrize(
    "path", ["build/x", "runs/x/done.json", ".env", "local.mk", ".venv/bin/python", "a/model.gguf"]
)
def test_git_ignores_outputs_and_secrets(path):
    answer = subprocess.run(["git", "check-ignore", "-q", path], capture_output=True)
    if answer.returncode == 128:
        pytest.skip("not a git checkout")
    assert answer.returncode == 0


def test_files_stay_short():
    sizes = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in python_files(*PACKAGES)}
    assert {str(path): lines for path, lines in sizes.items() if lines > MAX_FILE} == {}


def test_functions_stay_short():
    nodes = [(path, node) for path in python_files(*PACKAGES) for node in functions(path)]
    lengths = {f"{path}:{node.name}": node.end_lineno - node.lineno + 1 for path, node in nodes}
    assert {name: lines for name, lines in lengths.items() if lines > MAX_FUNCTION} == {}


def is_click_command(node):
    return any("command" in ast.unparse(decorator) for decorator in node.decorator_list)


def test_functions_take_few_parameters():
    found = []
    for path in python_files("lib", "scripts", "evaluator"):
        for node in functions(path):
            names = [a.arg for a in node.args.posonlyargs + node.args.args + node.args.kwonlyargs]
            names = [name for name in names if name not in ("self", "cls")]
            if len(names) > MAX_PARAMETERS and not is_click_command(node):
                found.append(f"{path}:{node.lineno}: {node.name} takes {len(names)}")
    assert found == []


@pytest.mark.parametrize("word", ["trust_remote_code=True", "import pickle", "except:"])
def test_what_we_promised_not_to_use_is_absent(word):
    found = [
        str(path) for path in python_files("lib", "scripts", "evaluator") if word in path.read_text(encoding="utf-8")
    ]
    assert found == []


def test_no_code_evaluates_text():
    calls = []
    for path in python_files("lib", "scripts", "evaluator"):
        for node in nodes_of(path):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("eval", "exec"):
                calls.append(f"{path}:{node.lineno}")
    assert calls == []


def test_the_light_part_imports_without_a_trainer():
    """The modules of data, simulator and evaluator load with the trainers made unimportable."""
    heavy = ("_torch", "_mlx")
    modules = [".".join(path.with_suffix("").parts) for path in python_files("lib", "evaluator")]
    modules = [name for name in modules if not name.endswith((*heavy, "__init__", "__main__"))]
    code = (
        "import sys, importlib\n"
        f"banned = {sorted(TORCH | MLX)!r}\n"
        "for name in banned: sys.modules[name] = None\n"
        f"for name in {modules!r}: importlib.import_module(name)\n"
        "print(len(sys.modules))\n"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert answer.returncode == 0, answer.stderr[-2000:]


def test_ruff_agrees_with_every_file():
    for arguments in (["check", "-q"], ["format", "--check", "-q"]):
        answer = subprocess.run([sys.executable, "-m", "ruff", *arguments, "."], capture_output=True, text=True)
        assert answer.returncode == 0, answer.stdout + answer.stderr
