"""One leg of scripts/bench_gpu.py in a process of its own: so many steps of a 7B-shaped random model on one GPU.

    python -m lib.bench_gpu_torch LEG METHOD BITS STEPS LENGTH FOLDER
    python -m lib.bench_gpu_torch peak               # the card's best matrix product
    python -m lib.bench_gpu_torch model FOLDER LAYERS

Legs: ours (plain trl and peft underneath), ours-unsloth, trl (as its documentation shows), unsloth (as its own shows).
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from importlib import import_module
from pathlib import Path

LORA = {"lora_rank": 32, "lora_alpha": 64, "lora_dropout": 0.0}
BATCH, ACCUMULATION = 2, 1
WARM_UP = 3  # steps that are not timed: kernels are compiled and the allocator fills
PROMPT_SHARE = 0.75  # as in the shipped data
TOKENS = range(4, 98)  # printable ASCII in the random model's vocabulary: as text a row has the same tokens again


def matmul_peak(seconds: float = 1.0) -> float:
    """TFLOP/s of the best bf16 product of two square matrices on this GPU."""
    import torch

    best = 0.0
    for size in (4096, 8192, 12288):
        a, b = (torch.randn(size, size, device="cuda", dtype=torch.bfloat16) for _ in range(2))
        for _ in range(3):
            a @ b
        torch.cuda.synchronize()
        rounds, start = 0, time.perf_counter()
        while time.perf_counter() - start < seconds:
            for _ in range(10):
                a @ b
            torch.cuda.synchronize()
            rounds += 10
        best = max(best, rounds * 2 * size**3 / (time.perf_counter() - start))
    return best / 1e12


def flops_per_token(shape: dict, length: int, method: str) -> float:
    """Useful FLOPs of a trained token, the same for every leg: the frozen base costs a forward (2 a weight) and the way
    back of the activations (2 a weight); KTO's mismatched completion costs one forward more. Attention besides.

    Recomputation and reference forwards are not useful work, so a leg that does them has the lower MFU.
    """
    h, f, layers = shape["hidden_size"], shape["intermediate_size"], shape["num_hidden_layers"]
    kv = h * shape["num_key_value_heads"] // shape["num_attention_heads"]
    weights = layers * (2 * h * h + 2 * h * kv + 3 * h * f)
    attention = layers * 2 * h * length  # scores and values, half of the square each
    head = (1 - PROMPT_SHARE) * h * shape["vocab_size"]
    forward = 2 * weights + attention + 2 * head
    return (3 if method == "kto" else 2) * forward


def random_rows(count: int, length: int, seed: int = 0) -> list:
    """Rows of random tokens, the last quarter of each trained, no two alike."""
    import random

    from lib.rendering import IGNORED, Rendered

    rng, rows, prompt = random.Random(seed), [], int(PROMPT_SHARE * length)
    for _ in range(count):
        ids = rng.choices(TOKENS, k=length)
        labels = [IGNORED] * prompt + ids[prompt:]
        roles = ["prompt"] * prompt + ["trained"] * (length - prompt)
        rows.append(Rendered("", ids, labels, prompt, roles))
    return rows


def make_job(leg: str, method: str, bits: int, rows: list, folder: Path, platform: str = "cuda"):
    """Our job over the rows; for KTO from a fresh adapter, kept in the folder."""
    from lib.config import load_config, load_size
    from lib.training import Job

    settings = {
        "batch_size": BATCH,
        "grad_accumulation": ACCUMULATION,
        "epochs": 1.0,
        "max_length": len(rows[0].input_ids),
    }
    settings |= {"log_every": 10**6, "save_every": 10**6, "unsloth": leg.endswith("unsloth"), "four_bit": bits == 4}
    if method == "sft":
        settings |= LORA
    config, _ = load_config(method, load_size("7b", platform, method), settings)
    run = Path(tempfile.mkdtemp())
    for part in ("checkpoints", "logs"):
        (run / part).mkdir()
    if leg.endswith("unsloth"):
        import_module("lib.unsloth_torch")  # before transformers
    tokenizer = import_module("lib.tokenizer_torch").load_tokenizer(folder, None)
    labels = [n % 2 == 0 for n in range(len(rows))]
    adapter = folder / "adapter" if method == "kto" else None
    return Job(method, platform, config, run, folder, tokenizer, rows, [], labels, adapter, False)


def our_trainer(job):
    """The trainer that `make sft` and `make kto` would run, without its log and checkpoints."""
    model_torch = import_module("lib.model_torch")
    model = model_torch.prepared(job, job.adapter)
    if job.method == "sft":
        make = import_module("lib.sft_torch").make_trainer
        trainer = make(model, job.tokenizer, job.rows, job.config, job.run, job.platform)
    else:
        trainer = import_module("lib.kto_torch").make_trainer(model, job.tokenizer, job)
    model_torch.check_trainer(trainer, job)
    return trainer


def foreign_trainer(leg: str, job, bits: int):
    """What a reader of trl's or unsloth's documentation writes for the same rows, LoRA, batch and precision."""
    import torch
    from datasets import Dataset
    from peft import LoraConfig
    from transformers import AutoModelForCausalLM, BitsAndBytesConfig
    from trl import KTOConfig, KTOTrainer, SFTConfig, SFTTrainer

    from lib.config import TARGETS

    lora = {"r": LORA["lora_rank"], "lora_alpha": LORA["lora_alpha"], "lora_dropout": 0.0, "target_modules": TARGETS}
    if leg == "unsloth":
        fast = import_module("unsloth").FastLanguageModel
        model, _ = fast.from_pretrained(str(job.base), max_seq_length=job.config.max_length, load_in_4bit=bits == 4)
        model, peft = fast.get_peft_model(model, **lora), None
    else:
        quantized = BitsAndBytesConfig(True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=torch.bfloat16)
        options = {"quantization_config": quantized} if bits == 4 else {}
        place = {"": 0 if job.platform == "cuda" else "cpu"}
        model = AutoModelForCausalLM.from_pretrained(job.base, dtype=torch.bfloat16, device_map=place, **options)
        peft = LoraConfig(task_type="CAUSAL_LM", **lora)
    settings = {
        "output_dir": str(job.run / "out"),
        "per_device_train_batch_size": BATCH,
        "gradient_accumulation_steps": ACCUMULATION,
        "max_length": job.config.max_length,
        "num_train_epochs": 1,
        "optim": "paged_adamw_8bit" if job.platform == "cuda" else "adamw_torch_fused",
        "use_cpu": job.platform == "cpu",
        "bf16": True,
        "report_to": "none",
        "save_strategy": "no",
        "disable_tqdm": True,
    }
    if job.method == "sft":
        rows = Dataset.from_list([{"input_ids": row.input_ids, "labels": row.labels} for row in job.rows])
        return SFTTrainer(
            model, args=SFTConfig(**settings), train_dataset=rows, processing_class=job.tokenizer, peft_config=peft
        )
    texts = [(job.tokenizer.decode(row.input_ids), row.prompt_length) for row in job.rows]
    rows = [
        {"prompt": text[:end], "completion": text[end:], "label": label}
        for (text, end), label in zip(texts, job.desirable, strict=True)
    ]
    return KTOTrainer(
        model,
        args=KTOConfig(**settings),
        train_dataset=Dataset.from_list(rows),
        processing_class=job.tokenizer,
        peft_config=peft,
    )


def forecast_gb(job, bits: int) -> float:
    """What make fit says of our training of the job."""
    from dataclasses import replace

    from lib.memory import plan_of, total
    from lib.model_config import shape_of

    shape = shape_of(str(job.base))
    plan = plan_of(shape, "cuda", job.config)
    return round(total(shape, plan if bits == 4 else replace(plan, weights="bf16")) / 1e9, 2)


def write_model(folder: Path, layers: int) -> None:
    """The random model with so many layers, and its adapter."""
    random_model = import_module("lib.random_model_torch")
    random_model.write_model_with_adapter(folder, random_model.SEVEN_B | {"num_hidden_layers": layers})


def main(leg: str, method: str, bits: int, steps: int, length: int, folder: Path) -> None:
    """Print one JSON object: tokens a second, TFLOP/s of useful work, peak memory, the loss."""
    shape = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    rows = random_rows((steps + WARM_UP) * BATCH * ACCUMULATION, length)
    job = make_job(leg, method, bits, rows, folder)
    trainer = our_trainer(job) if leg.startswith("ours") else foreign_trainer(leg, job, bits)

    import torch
    from transformers import TrainerCallback

    class Clock(TrainerCallback):
        def on_step_end(self, args, state, control, **_):
            torch.cuda.synchronize()
            if state.global_step == WARM_UP:
                self.start = time.perf_counter()
            self.seconds = time.perf_counter() - getattr(self, "start", time.perf_counter())

    clock = Clock()
    trainer.add_callback(clock)
    torch.cuda.reset_peak_memory_stats()
    trainer.train()
    tokens = steps * BATCH * ACCUMULATION * length / clock.seconds
    figures = {
        "leg": leg,
        "method": method,
        "bits": bits,
        "tokens_per_s": round(tokens, 1),
        "tflops": round(tokens * flops_per_token(shape, length, method) / 1e12, 2),
        "peak_gb": round(import_module("lib.trial_torch").peak_bytes("cuda") / 1e9, 2),
        "forecast_gb": forecast_gb(job, bits),
        "allocated_gb": round(torch.cuda.max_memory_allocated() / 1e9, 2),
        "loss": round(trainer.state.log_history[-1].get("train_loss", float("nan")), 4),
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    if sys.argv[1] == "peak":
        print(json.dumps({"tflops": matmul_peak()}))
    elif sys.argv[1] == "model":
        write_model(Path(sys.argv[2]), int(sys.argv[3]))
        print("{}")
    else:
        main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), int(sys.argv[5]), Path(sys.argv[6]))
