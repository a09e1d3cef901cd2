"""Several processes train like one: the same steps and losses, one run, one clean stop; the loss works inside FSDP2."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from lib import launch, ranks
from lib.distributed_torch import own_batches
from lib.jsonl import write_rows
from tests.killing import CLOCK
from tests.tiny_model import call_row, row, write_tiny_model

# The script with its runs in a folder of the test's.
SCRIPT = """
import importlib, pathlib, sys, lib.runs
lib.runs.RUNS, method = pathlib.Path(sys.argv.pop(1)), sys.argv.pop(1)
importlib.import_module(f"scripts.{method}").main()
"""
FLAGS = ["--log-every", "1", "--yes", "--batch-size", "4", "--grad-accumulation", "2", "--eval-fraction", "0.2"]
SFT = [*FLAGS, "--epochs", "2", "--rows-per-tool", "0", "--whole-share", "1", "--context-share", "1"]
# In fp32 no sum hides behind its rounding.
KTO = [*FLAGS, "--epochs", "2", "--learning-rate", "1e-2", "--dtype", "float32", "--sft-weight", "0.1"]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with a model and rows for an even number of micro-batches and some that are held out."""
    folder = tmp_path_factory.mktemp("several")
    write_tiny_model(folder / "model")
    write_rows(folder / "sft.jsonl", (call_row(i) for i in range(28)))
    write_rows(folder / "kto.jsonl", (row(f"Add note {i}{'!' * i}", f"Done {i}.", i % 2 == 0) for i in range(40)))
    return folder


@pytest.fixture(scope="module")
def alone(place):
    """An SFT run by one process."""
    return train(place, "one", *SFT)[0]


def start(place, root, *flags, method="sft"):
    command = [sys.executable, "-c", SCRIPT, place / root, method, place / f"{method}.jsonl"]
    command += ["--model", place / "model", *flags]
    environment = {name: value for name, value in os.environ.items() if name != "PYTEST_CURRENT_TEST"}
    return subprocess.Popen(
        list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    )


def train(place, root, *flags, method="sft"):
    process = start(place, root, *flags, method=method)
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err[-3000:]
    [run] = (place / root).iterdir()
    return run, out, err


def rows_of(run):
    return [json.loads(line) for line in (run / "logs/training_latest.jsonl").read_text().splitlines()]


def test_two_processes_log_the_losses_of_one(place, alone):
    one = alone
    two, out, err = train(place, "two", *SFT, "--nproc", "2")
    assert out.strip() == str(two), "one path, said once"
    assert "Starting 2 processes: DDP" in err and "Traceback" not in err
    assert [row["step"] for row in rows_of(two)] == [row["step"] for row in rows_of(one)] == list(range(1, 7))
    for name in ("loss", "grad_norm", "learning_rate", "mean_token_accuracy"):
        # In bf16 the order of a sum shows in the fourth digit.
        wanted = [row[name] for row in rows_of(one)]
        assert [row[name] for row in rows_of(two)][:2] == pytest.approx(wanted[:2], rel=1e-5)
        assert [row[name] for row in rows_of(two)] == pytest.approx(wanted, rel=2e-3, abs=5e-3)
    evaluated = [json.loads((run / "done.json").read_text())["eval_loss"] for run in (one, two)]
    assert evaluated[1] == pytest.approx(evaluated[0], abs=1e-3)
    settings = [yaml.safe_load((run / "config.yaml").read_text()) for run in (one, two)]
    assert settings[0]["tokens_digest"] == settings[1]["tokens_digest"]
    assert settings[0]["settings"] == settings[1]["settings"]


def test_two_processes_log_the_kl_and_rewards_of_one(place, alone):
    """Each micro-batch has its own KL estimate, whoever computes it, so that the recipe means the same."""
    flags = [*KTO, "--from-run", alone, "--eval-every", "3"]
    one, _, _ = train(place, "kto-one", *flags, method="kto")
    two, _, err = train(place, "kto-two", *flags, "--nproc", "2", method="kto")
    assert "Starting 2 processes: DDP" in err and "Traceback" not in err
    wanted, found = ([without_clock(row) for row in rows_of(run)] for run in (one, two))
    assert [row["step"] for row in found] == [row["step"] for row in wanted] and len(wanted) >= 6
    for mine, theirs in zip(found, wanted, strict=True):
        assert mine == pytest.approx(theirs, rel=1e-3, abs=1e-5), theirs["step"]
    assert wanted[0]["kl"] == 0 < max(row["kl"] for row in wanted) and wanted[-1]["rewards/margins"] != 0
    assert {"eval_loss", "sft_loss", "logps/chosen", "rewards/rejected", "grad_norm"} <= wanted[2].keys()
    one, two = (json.loads((run / "done.json").read_text()) for run in (one, two))
    assert two["best_step"] == one["best_step"] and two["train_loss"] == pytest.approx(one["train_loss"], rel=1e-4)


def without_clock(logged):
    return {name: value for name, value in logged.items() if name not in CLOCK}


def test_ctrl_c_stops_all_after_the_same_step_and_resume_goes_on(place):
    flags = [*SFT, "--epochs", "40", "--nproc", "2"]
    process, log, deadline = start(place, "stopped", *flags), None, time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        log = next((place / "stopped").glob("*/logs/training_latest.jsonl"), None) if log is None else log
        if log is not None and len(log.read_text().splitlines()) >= 3:
            break
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 130, err[-3000:]
    run = log.parent.parent
    reached = rows_of(run)[-1]["step"]
    assert 3 <= reached < 120 and (run / f"checkpoints/checkpoint-{reached}").is_dir()
    assert not (run / "stop").exists() and not (run / "lock").exists() and "Traceback" not in err
    train(place, "stopped", *flags, "--resume")
    assert [row["step"] for row in rows_of(run)] == list(range(1, 121))


def test_every_process_gets_as_many_batches_and_all_of_them_together(monkeypatch):
    batches = [[n] for n in range(5)]
    shares = []
    for number in range(3):
        monkeypatch.setenv("RANK", str(number))
        monkeypatch.setenv("WORLD_SIZE", "3")
        shares.append(own_batches(batches))
    assert shares == [[[0], [3]], [[1], [4]], [[2], [0]]]
    assert ranks.rank() == 2 and not ranks.is_first()
    monkeypatch.delenv("RANK")
    monkeypatch.delenv("WORLD_SIZE")
    assert own_batches(batches) == batches and ranks.is_first()


def test_the_line_names_configuration_script_and_arguments():
    line = launch.command("kto", ["--yes"], 4, sharded=True)
    assert line[1:3] == ["-m", "lib.launcher_torch"]
    assert line[3:] == [
        "--config_file", "configs/accelerate/fsdp2.yaml", "--num_processes", "4", "--main_process_port", "0",
        "-m", "scripts.kto", "--yes",
    ]  # fmt: skip
    for path in launch.CONFIGS.values():
        assert yaml.safe_load(Path(path).read_text(encoding="utf-8"))["num_machines"] == 1


# Two processes, each with the blocks of the model in shards: the loss inside of the root's forward, then all gradients.
SHARDED = """
import functools, json, sys
import torch
import torch.distributed as dist
from torch.distributed.fsdp import fully_shard
from transformers import AutoModelForCausalLM
from lib import model_torch
from lib.config import load_config, load_size
from lib.distributed_torch import open_forward
from lib.loss_torch import label_logps

def make():
    config, _ = load_config("sft", load_size("tiny", "cpu", "sft"), {"lora_rank": 4, "lora_alpha": 8})
    model = model_torch.add_lora(AutoModelForCausalLM.from_pretrained(sys.argv[1], dtype=torch.float32), config)
    generator = torch.Generator().manual_seed(3)
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            parameter.data += 0.05 * torch.randn(parameter.shape, generator=generator)
    return model

def loss(model, ids):
    return -label_logps(model, ids, ids)[0].mean()

dist.init_process_group("gloo")
ids = torch.arange(40).reshape(2, 20) % 90 + 4
plain = make()
loss(plain, ids).backward()
wanted = {name: p.grad for name, p in plain.named_parameters() if p.grad is not None}
model = make()
open_forward(model)
for layer in model.get_base_model().model.layers:
    fully_shard(layer)
fully_shard(model)
value = model(functools.partial(loss, model), ids)
value.backward()
found = {name: p.grad.full_tensor() for name, p in model.named_parameters() if p.grad is not None}
assert found.keys() == wanted.keys() and len(found) == 28, len(found)
worst = max((found[name] - wanted[name]).abs().max().item() for name in wanted)
if dist.get_rank() == 0:
    print(json.dumps({"worst": worst, "largest": max(g.abs().max().item() for g in wanted.values())}))
dist.barrier()  # whoever keeps the store must not leave before the other is done
dist.destroy_process_group()
"""


def test_the_loss_inside_fsdp2_has_the_gradients_of_the_whole_model(place):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    processes = []
    for number in range(2):
        told = {"RANK": str(number), "LOCAL_RANK": str(number), "WORLD_SIZE": "2"}
        environment = os.environ | told | {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
        line = [sys.executable, "-c", SHARDED, str(place / "model")]
        processes.append(
            subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
        )
    answers = [process.communicate(timeout=200) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], answers[0][1][-2000:]
    found = json.loads(answers[0][0].strip().splitlines()[-1])
    assert found["largest"] > 1e-2 and found["worst"] < 1e-6, found
