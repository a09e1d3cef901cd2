"""lib.needs and scripts.doctor: every lack is named with its way out, and no secret is shown."""

import json
import sys

import pytest
from click.testing import CliRunner

from lib import llama_cpp, needs
from lib.needs import Need
from scripts import doctor


def test_a_missing_package_is_named_with_the_command(monkeypatch):
    monkeypatch.setattr(needs, "installed_version", lambda name: None if name == "peft" else "1.0")
    found = needs.package_needs("cpu")
    assert [(need.state, need.detail, need.fix) for need in found] == [
        ("missing", "not installed: peft", "make setup PLATFORM=cpu")
    ]


def test_another_version_than_locked_is_a_note(monkeypatch):
    locked = needs.locked_versions("requirements.lock")
    monkeypatch.setattr(needs, "installed_version", lambda name: "0.1" if name == "click" else locked.get(name, "1.0"))
    [need] = needs.package_needs("cpu")
    assert need.state == "note"
    assert f"click 0.1 (lock: {locked['click']})" in need.detail


def test_every_asked_package_is_locked():
    for target, (requirements, lock) in needs.REQUIREMENTS.items():
        asked = needs.asked_packages(requirements)
        assert len(asked) > 15, target
        assert set(asked) - set(needs.locked_versions(lock)) == set(), target


def test_llama_cpp_found_by_its_folder(tmp_path, monkeypatch):
    for name in llama_cpp.TARGETS:
        program = tmp_path / "build/bin" / name
        program.parent.mkdir(parents=True, exist_ok=True)
        program.write_text("#!/bin/sh\n")
    monkeypatch.setenv("LLAMA_CPP", str(tmp_path))
    need = needs.llama_need()
    assert (need.state, need.detail) == ("ok", f"{tmp_path}/build/bin (LLAMA_CPP)")


def test_a_folder_without_llama_cpp_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("LLAMA_CPP", str(tmp_path))
    need = needs.llama_need()
    assert need.state == "missing"
    assert str(tmp_path) in need.detail and "unset LLAMA_CPP" in need.fix


def test_no_llama_cpp_and_no_compiler_names_what_to_install(tmp_path, monkeypatch):
    monkeypatch.delenv("LLAMA_CPP", raising=False)
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    need = needs.llama_need()
    assert need.state == "missing"
    assert "no C++ compiler" in need.detail and "Install one" in need.fix


def test_a_full_disk_is_missing_space(monkeypatch):
    monkeypatch.setattr(needs.shutil, "disk_usage", lambda path: type("Usage", (), {"free": 1_000_000_000})())
    assert needs.disk_need("tiny").state == "missing"


def test_cuda_without_a_driver_points_to_the_cpu(monkeypatch):
    monkeypatch.setattr(needs, "output_of", lambda *command: None)
    need = needs.device_need("cuda")
    assert need.state == "missing"
    assert "PLATFORM=cpu" in need.fix


def test_a_token_is_never_shown():
    found = needs.token_needs({"HF_API_KEY": "hf_secret", "WANDB_API_KEY": "wb_secret"})
    assert [need.detail for need in found] == ["HF_API_KEY is set", "WANDB_API_KEY is set"]


@pytest.fixture
def run(monkeypatch):
    """run(needs, *options): the doctor's answer when the machine has exactly these needs and no server."""

    def call(found, *options):
        monkeypatch.setattr(needs, "all_needs", lambda target, size: found)
        # Port 9 (discard) is closed: refused at once, without a network.
        monkeypatch.setenv("OLLAMA_HOST", "127.0.0.1:9")
        monkeypatch.setattr(doctor, "SERVERS", {"ollama": "ollama serve"})
        return CliRunner().invoke(doctor.main, options)

    return call


def test_all_well_exits_0_and_shows_a_tick(run):
    answer = run([Need("Python", "ok", "3.12")])
    assert answer.exit_code == 0
    assert answer.stdout.startswith("✓ Python")


def test_a_missing_need_exits_1_and_shows_the_way_out(run):
    answer = run([Need("GPU", "missing", "none", "Install the driver")])
    assert answer.exit_code == 1
    assert "✗ GPU" in answer.stdout and "Install the driver" in answer.stdout


@pytest.mark.parametrize(("backend", "code"), [("ollama", 1), ("llamacpp", 0)])
def test_only_the_wanted_server_has_to_answer(run, backend, code):
    answer = run([], "--backend", backend)
    assert answer.exit_code == code
    assert "ollama: no answer at http://127.0.0.1:9" in answer.stdout


def test_json_holds_every_field(run):
    answer = run([Need("Python", "ok", "3.12")], "--json")
    assert json.loads(answer.stdout)[0] == {"name": "Python", "state": "ok", "detail": "3.12", "fix": ""}


def test_this_machine_is_examined_without_importing_a_trainer():
    found = needs.all_needs("cpu", "tiny")
    assert {"Python", "Packages", "Memory", "Disk", "llama.cpp"} <= {need.name for need in found}
    assert {need.state for need in found} <= {"ok", "note", "missing"}
    assert needs.python_need().state == "ok" and sys.executable in needs.python_need().detail
