"""Losses over completion tokens: the language-model head runs only where a label asks for it."""

from __future__ import annotations

import torch

from lib.rendering import IGNORED

CHUNK = 256  # rows of the vocabulary at once: 50 MB at 49k words in fp32


class HeadLogps(torch.autograd.Function):
    """Log-probabilities of targets under softmax(hidden W'), CHUNK rows at a time; only hidden gets a gradient.

    hidden: (n, d); weight: (vocabulary, d), frozen; targets: (n,). Out: (n,) nats, fp32, and how many targets were the
    top choice. The gradient of a row, w_target - sum_v p_v w_v times the incoming one, is made in the forward pass,
    while the chunk's probabilities are at hand: they never exist for all rows at once, nor are computed twice.
    """

    @staticmethod
    def forward(ctx, hidden, weight, targets):
        logps = torch.empty(len(targets), dtype=torch.float32, device=hidden.device)
        correct = torch.zeros((), dtype=torch.long, device=hidden.device)
        slope = torch.empty_like(hidden) if ctx.needs_input_grad[0] else None
        for start in range(0, len(targets), CHUNK):
            part = slice(start, start + CHUNK)
            scores, target = (hidden[part] @ weight.T).float().log_softmax(-1), targets[part, None]
            logps[part] = scores.gather(1, target)[:, 0]
            correct += (logps[part] >= scores.amax(-1)).sum()
            if slope is not None:
                pull = scores.exp_().neg_().scatter_add_(1, target, torch.ones_like(target, dtype=torch.float32))
                slope[part] = pull.to(weight.dtype) @ weight
        ctx.save_for_backward(slope)
        ctx.mark_non_differentiable(correct)
        return logps, correct

    @staticmethod
    def backward(ctx, grad, _):
        (slope,) = ctx.saved_tensors
        return slope * grad[:, None].to(slope.dtype), None, None


def label_logps(model, input_ids, labels):
    """(log-probability of each label token, nats, fp32; the batch row of each; how many were the top choice).

    input_ids, labels: (batch, length), padded on the right. The head multiplies only the hidden states that predict a
    label, so its cost follows the completions and not the prompts. No attention mask is needed: attention is causal, so
    padding behind a row cannot reach it, and without a mask the kernels skip half of the work.
    """
    causal = model.get_base_model() if hasattr(model, "get_base_model") else model
    weight = causal.get_output_embeddings().weight
    targets = labels[:, 1:]
    wanted = targets != IGNORED
    # Autocast stands here because the trainers wrap only model.forward in it: LoRA's fp32 masters multiply in bf16.
    with torch.autocast(input_ids.device.type, torch.bfloat16, enabled=weight.dtype == torch.bfloat16):
        hidden = causal.get_decoder()(input_ids=input_ids, use_cache=False).last_hidden_state
    logps, correct = HeadLogps.apply(hidden[:, :-1][wanted].to(weight.dtype), weight, targets[wanted])
    return logps, torch.nonzero(wanted)[:, 0], correct


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
