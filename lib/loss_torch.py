"""Losses over completion tokens: the language-model head runs only where a label asks for it."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from lib.rendering import IGNORED


def label_logps(model, input_ids, labels):
    """(log-probability of each label token, nats, fp32; the batch row of each; how many were the top choice).

    input_ids, labels: (batch, length), padded on the right. The head multiplies only the hidden states that predict a
    label, so its cost follows the completions and not the prompts. No attention mask is needed: attention is causal, so
    padding behind a row cannot reach it, and without a mask the kernels skip half of the work.
    """
    causal = model.get_base_model() if hasattr(model, "get_base_model") else model
    head = causal.get_output_embeddings()
    targets = labels[:, 1:]
    wanted = targets != IGNORED
    # Autocast stands here because the trainers wrap only model.forward in it: LoRA's fp32 masters multiply in bf16.
    with torch.autocast(input_ids.device.type, torch.bfloat16, enabled=head.weight.dtype == torch.bfloat16):
        hidden = causal.get_decoder()(input_ids=input_ids, use_cache=False).last_hidden_state
        logits = head(hidden[:, :-1][wanted])
    logits, chosen = logits.float(), targets[wanted]
    logps = -F.cross_entropy(logits, chosen, reduction="none")
    with torch.no_grad():
        correct = (logits.argmax(-1) == chosen).sum()
    rows = torch.nonzero(wanted)[:, 0]
    return logps, rows, correct


def row_logps(model, input_ids, labels):
    """Summed log-probability of each row's label tokens: (batch,), nats, fp32."""
    logps, rows, _ = label_logps(model, input_ids, labels)
    return torch.zeros(input_ids.shape[0], device=logps.device).index_add(0, rows, logps)


def kto_losses(policy, reference, desirable, kl, config):
    """(weighted loss of each row, reward of each row): KTO, eq. 7 and 8 of arXiv 2402.01306.

    policy, reference: (batch,) summed log-probabilities, nats; desirable: (batch,) bool; kl: detached, >= 0, nats;
    config: beta (1/nats) and the two label weights.
    """
    log_ratio = policy - reference
    good = config.desirable_weight * (1 - torch.sigmoid(config.beta * (log_ratio - kl)))
    bad = config.undesirable_weight * (1 - torch.sigmoid(config.beta * (kl - log_ratio)))
    return torch.where(desirable, good, bad), (config.beta * log_ratio).detach()
