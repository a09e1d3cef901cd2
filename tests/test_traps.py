"""The doctor's traps: a failing machine for each, caught alone; healthy machines are in none."""

import os
from dataclasses import replace

import pytest

from lib import needs, traps
from lib.traps import TRAPS, Gpu, Machine, fallen, gpus_of

CARD = Gpu("NVIDIA GeForce RTX 3090", 25.8, 580.95, 8.6)
CPU = Machine("cpu", "tiny", {"torch": "2.13.0+cpu", "trl": "1.16.0", "transformers": "5.23.0", "datasets": "5.2.0"})
CPU = replace(CPU, glibc=(2, 36))
CUDA = Machine(
    "cuda", "7b", {"torch": "2.14.1", "trl": "1.15.0", "transformers": "5.17.0", "datasets": "4.8.5"}, (CARD,)
)
MAC = Machine("mlx", "7b", {"mlx-lm": "0.32.2"}, (), "Darwin", "arm64", macos=(15, 3))


def having(machine, **versions):
    """The machine with other versions installed."""
    named = {name.replace("_", "-"): version for name, version in versions.items()}
    return replace(machine, versions={**machine.versions, **named})


# Trap -> (a machine in it and in no other, what its command holds).
FALLEN = {
    "trl-without-triton": (having(CPU, trl="1.15.0"), "make setup PLATFORM=cpu"),
    "trl-too-new-for-unsloth": (having(CUDA, trl="1.16.0"), "make setup PLATFORM=cuda"),
    "transformers-too-new-for-unsloth": (having(CUDA, transformers="5.23.0"), "make setup PLATFORM=cuda"),
    "datasets-too-new-for-unsloth": (having(CUDA, datasets="5.2.0"), "make setup PLATFORM=cuda"),
    "mlx-lm-too-old": (having(MAC, mlx_lm="0.30.2"), "make setup PLATFORM=mlx"),
    "torch-without-cuda": (having(CUDA, torch="2.13.0+cpu"), "unset PIP_EXTRA_INDEX_URL"),
    "cuda-build-without-gpu": (having(CPU, nvidia_cublas="13.1"), "PIP_EXTRA_INDEX_URL="),
    "old-driver": (replace(CUDA, gpus=(replace(CARD, driver=535.1),)), "nvidia-driver-580"),
    "gpu-without-bf16": (replace(CUDA, gpus=(Gpu("Tesla T4", 16, 580.1, 7.5),)), "PLATFORM=cpu"),
    "small-gpu": (replace(CUDA, gpus=(replace(CARD, memory=8.2),)), "make fit SIZE=7b"),
    "several-gpus": (replace(CUDA, gpus=(CARD, CARD)), "CUDA_VISIBLE_DEVICES=0"),
    "no-compiler-for-triton": (replace(CUDA, compiler=False), "build-essential"),
    "translated-python": (replace(MAC, processor="x86_64", translated=True), "/opt/homebrew/bin/python3.12"),
    "intel-mac": (replace(MAC, processor="x86_64"), "another machine"),
    "old-macos": (replace(MAC, macos=(13, 6)), "softwareupdate"),
    "old-glibc": (replace(CPU, glibc=(2, 17)), "container"),
    "hidden-library": (replace(CPU, hidden_library=True), "rm datasets/__init__.py"),
    "cache-not-writable": (replace(CPU, writable_cache=False), "HF_HOME"),
    "strange-token": (replace(CPU, token="my password"), "hf.co/settings/tokens"),
    "readable-env": (replace(CPU, open_env=True), "chmod 600 .env"),
    "offline": (replace(CPU, environment={"HF_HUB_OFFLINE": "1"}), "unset HF_HUB_OFFLINE"),
}


def test_every_trap_has_a_machine_in_it():
    assert FALLEN.keys() == TRAPS.keys()


@pytest.mark.parametrize("name", TRAPS)
def test_a_trap_catches_its_machine_alone_and_names_the_command(name):
    machine, command = FALLEN[name]
    assert [other for other, trap in TRAPS.items() if trap.fallen(machine)] == [name]
    [need] = fallen(machine)
    assert command in need.fix and "{" not in need.detail + need.fix and need.state in ("missing", "note")


@pytest.mark.parametrize("machine", [CPU, CUDA, MAC, replace(CUDA, gpus=()), replace(CPU, token="hf_" + "a" * 30)])
def test_a_healthy_machine_is_in_no_trap(machine):
    assert fallen(machine) == []


def test_a_chosen_gpu_is_no_trap():
    assert fallen(replace(CUDA, gpus=(CARD, CARD), environment={"CUDA_VISIBLE_DEVICES": "1"})) == []


@pytest.mark.parametrize(
    "listing, wanted",
    [
        (
            "NVIDIA GeForce RTX 3090, 24576, 580.95.05, 8.6",
            (Gpu("NVIDIA GeForce RTX 3090", 25.769803776, 580.95, 8.6),),
        ),
        ("", ()),
        ("No devices were found", ()),
        ("Card, [N/A], 580.1, 8.6", ()),
        ("A, 1024, 580, 9.0\nB, 1024, 580, 9.0", (Gpu("A", 1.073741824, 580, 9.0), Gpu("B", 1.073741824, 580, 9.0))),
    ],
)
def test_what_nvidia_smi_lists_is_read(listing, wanted):
    assert gpus_of(listing) == wanted


def test_this_machine_is_looked_at_without_secrets_in_the_findings(monkeypatch, tmp_path):
    path = tmp_path / ".env"
    path.write_text("HF_TOKEN=very-secret\n")
    path.chmod(0o644)
    monkeypatch.setattr(traps, "ENV_FILE", path)
    monkeypatch.setenv("HF_TOKEN", "very-secret")
    found = fallen(traps.this_machine("cpu", "tiny"))
    assert {"HF_TOKEN looks like none (hf_...)", FALLEN_ENV} <= {need.detail for need in found}
    assert "very-secret" not in str(found)
    path.chmod(0o600)
    assert not traps.is_open(path)


FALLEN_ENV = ".env holds tokens and others on this machine can read it"


def test_a_cache_below_a_folder_that_is_missing_can_be_made(tmp_path):
    assert traps.can_write(tmp_path / "not/yet/here")
    tmp_path.chmod(0o500)
    assert traps.can_write(tmp_path / "not") is (os.geteuid() == 0)
    tmp_path.chmod(0o700)


def test_the_doctor_checks_the_configuration_as_a_training_would(monkeypatch):
    assert [need.state for need in needs.config_needs("cpu", "tiny")] == ["ok", "ok"]
    monkeypatch.setattr("lib.situation.visible_gpus", lambda environment: 4)
    found = needs.config_needs("cuda", "7b")
    assert {need.name for need in found} == {"Config"}
    assert any("4 GPUs are visible" in need.detail and "NPROC=4" in need.fix for need in found)


@pytest.mark.parametrize("named, count", [("", 0), ("0", 1), ("0,1", 2), ("-1", 0), ("GPU-a,GPU-b", 2)])
def test_visible_gpus_follow_the_environment(named, count):
    assert needs.visible_gpus({"CUDA_VISIBLE_DEVICES": named}) == count
