"""Stock TRL's KTOTrainer on a tiny model, and its batch in the form that ours takes."""

import torch
from datasets import Dataset
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, AutoTokenizer
from trl import KTOConfig, KTOTrainer

from lib.model_torch import TARGETS
from lib.rendering import IGNORED

PROMPTS = [
    ("Read a.md", "It says milk.", True),
    ("Delete b.md", "Which b.md?", False),
    ("Add a note.", "Done, it is added.", True),
    ("Move it.", "I moved nothing.", False),
]


def stock_trl(folder, tmp_path, rows=PROMPTS, **settings):
    """(TRL's trainer, whose policy has left its reference; its first batch)."""
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    torch.manual_seed(1)
    model = get_peft_model(model, LoraConfig(r=4, lora_alpha=8, target_modules=TARGETS, init_lora_weights=False))
    data = Dataset.from_list([{"prompt": p, "completion": c, "label": label} for p, c, label in rows])
    config = KTOConfig(
        str(tmp_path), per_device_train_batch_size=4, use_cpu=True, bf16=False, max_length=512, report_to="none",
        **{"gradient_checkpointing": False} | settings,
    )  # fmt: skip
    tokenizer = AutoTokenizer.from_pretrained(folder)
    trainer = KTOTrainer(model=model, args=config, train_dataset=data, processing_class=tokenizer)
    for name, parameter in model.named_parameters():
        if ".default." in name:  # TRL copied the reference before
            parameter.data += 0.05 * torch.randn_like(parameter)
    return trainer, next(iter(trainer.get_train_dataloader()))


def our_batch(inputs, shared: bool):
    """TRL's batch as our trainer's: labels, and the mismatched completions whole or without their prompts."""
    batch = {
        "input_ids": inputs["input_ids"],
        "labels": inputs["input_ids"].masked_fill(~inputs["completion_mask"].bool(), IGNORED),
    }
    if "KL_input_ids" not in inputs:
        return batch
    ids = inputs["KL_input_ids"]
    labels = ids.masked_fill(~inputs["KL_completion_mask"].bool(), IGNORED)
    if shared:
        batch["prompt_length"] = inputs["completion_mask"].argmax(1)
        starts = batch["prompt_length"].tolist()
        ids, labels = (
            torch.nn.utils.rnn.pad_sequence([row[start:] for row, start in zip(rows, starts, strict=True)], True, value)
            for rows, value in ((ids, 3), (labels, IGNORED))
        )
    return batch | {"kl_input_ids": ids, "kl_labels": labels}
