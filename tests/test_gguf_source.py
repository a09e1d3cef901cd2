"""Where GGUF files come from: a run with its adapter or a base; and mounts where none are made."""

import subprocess
import sys

import pytest

from lib import disk, gguf_source
from lib.errors import CannotRun

MOUNTS = """\
/dev/sda / ext4 rw 0 0
C:\\134 /mnt/c 9p rw 0 0
//server/share /home/me/my\\040share cifs rw 0 0
"""


@pytest.mark.parametrize(
    "path, slow", [("/home/me/x", False), ("/mnt/c/Users/me", True), ("/mnt/cc", False), ("/home/me/my share/x", True)]
)
def test_windows_and_network_mounts_are_known_as_slow(path, slow, monkeypatch):
    monkeypatch.setattr(disk, "existing_parent", lambda path: path)
    assert disk.is_slow(path, MOUNTS) == slow


def test_a_run_without_an_adapter_is_refused(tmp_path):
    run = tmp_path / "20251122_101500-sft-tiny"
    (run / "final_model").mkdir(parents=True)
    (run / "config.yaml").write_text("method: sft\nsize: tiny\nbase: SmolLM2-135M-Instruct\n")
    with pytest.raises(CannotRun, match="holds no adapter_model.safetensors"):
        gguf_source.of_run(run)


def test_a_run_is_described_by_base_adapter_and_template(tmp_path):
    base, run = tmp_path / "base", tmp_path / "20251122_101500-kto-tiny"
    base.mkdir()
    (base / "config.json").write_text("{}")
    (base / "model.safetensors").write_bytes(b"12345")
    (run / "final_model").mkdir(parents=True)
    (run / "config.yaml").write_text(f"method: kto\nsize: tiny\nbase: {base}\n")
    (run / "final_model" / "chat_template.jinja").write_text("ours")
    adapter = run / "final_model" / "adapter_model.safetensors"
    adapter.write_bytes(b"one")
    job, _ = gguf_source.of_run(run)
    assert (job.name, job.out, job.template, job.source_bytes) == ("toolset-tiny-kto", run / "gguf", "ours", 5)
    adapter.write_bytes(b"two")
    assert gguf_source.of_run(run)[0].inputs != job.inputs


def test_the_base_is_exported_with_our_template_and_linked_weights(tmp_path):
    base = tmp_path / "base"
    base.mkdir()
    for name in ("config.json", "model.safetensors", "chat_template.jinja"):
        (base / name).write_text(name)
    folder = gguf_source.with_template(base, "ours", tmp_path / "out")
    assert (folder / "chat_template.jinja").read_text() == "ours" and (
        base / "chat_template.jinja"
    ).read_text() != "ours"
    assert (folder / "model.safetensors").is_symlink() and not (folder / "config.json").is_symlink()


def test_serving_a_run_without_a_file_says_how_to_make_one(tmp_path, root):
    run = tmp_path / "20251122_101500-kto-tiny"
    run.mkdir()
    (run / "config.yaml").write_text("{}")
    (run / "done.json").write_text("{}")
    done = subprocess.run(
        [sys.executable, "-m", "scripts.serve", "--run", str(run)], capture_output=True, text=True, cwd=root
    )
    assert done.returncode == 2 and f"holds no GGUF. Make one: make gguf RUN={run}" in done.stderr
    assert "Traceback" not in done.stderr
