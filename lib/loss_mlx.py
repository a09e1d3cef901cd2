"""Losses over completion tokens in MLX, with the values of lib/loss_torch.py: the head runs only where a label asks."""

from __future__ import annotations

from dataclasses import dataclass

import mlx.core as mx
import numpy as np

from lib.batches import pad_rows
from lib.kto_loss import row_losses
from lib.rendering import IGNORED

CHUNK = 1024  # rows of the vocabulary at once: 200 MB at 49k words in fp32
# Architectures of mlx-lm whose logits are the head times what model.model gives; any other takes its whole forward.
PLAIN_HEADS = {"llama", "mistral", "qwen2", "qwen3", "gpt_oss"}


@dataclass(frozen=True)
class Batch:
    """Padded rows and where their labels are.

    ids: (rows, length); places: (n,) positions in the flattened batch whose hidden state predicts a label; targets:
    (n,) those labels; owners: (n,) the row of each; tokens: how many are no padding.
    """

    ids: mx.array
    places: mx.array
    targets: mx.array
    owners: mx.array
    tokens: int

    @property
    def labels(self) -> int:
        return self.targets.size


def make_batch(ids: list[list[int]], labels: list[list[int]], pad_id: int) -> Batch:
    """One padded batch; padding comes after the row and attention is causal, so it reaches no label."""
    wide, targets = np.array(pad_rows(ids, pad_id)), np.array(pad_rows(labels, IGNORED))
    rows, columns = np.nonzero(targets[:, 1:] != IGNORED)
    return Batch(
        mx.array(wide, mx.int32),
        mx.array(rows * wide.shape[1] + columns, mx.int32),
        mx.array(targets[rows, columns + 1], mx.int32),
        mx.array(rows, mx.int32),
        sum(map(len, ids)),
    )


def label_scores(model, batch: Batch):
    """(hidden states or logits that predict the labels, the function from them to logits)."""
    if model.model_type not in PLAIN_HEADS:
        scores = model(batch.ids)
        return scores.reshape(-1, scores.shape[-1])[batch.places], lambda rows: rows
    hidden = model.model(batch.ids)
    head = model.lm_head if "lm_head" in model else model.model.embed_tokens.as_linear
    return hidden.reshape(-1, hidden.shape[-1])[batch.places], head


def label_logps(model, batch: Batch):
    """(log-probability of each label token, nats, fp32; how many were the top choice)."""
    rows, head = label_scores(model, batch)

    def scored(part, targets):
        logits = head(part).astype(mx.float32)
        own = mx.take_along_axis(logits, mx.stop_gradient(targets)[:, None], axis=-1)[:, 0]
        return own - mx.logsumexp(logits, axis=-1), mx.stop_gradient((own >= logits.max(axis=-1)).sum())

    if batch.labels <= CHUNK:
        return scored(rows, batch.targets)
    parts = [slice(start, start + CHUNK) for start in range(0, batch.labels, CHUNK)]
    # The backward pass makes a chunk's logits anew, so that they never exist for all rows at once.
    found = [mx.checkpoint(scored)(rows[part], batch.targets[part]) for part in parts]
    return mx.concatenate([logps for logps, _ in found]), sum(correct for _, correct in found)


def row_logps(model, batch: Batch):
    """Summed log-probability of each row's label tokens: (rows,), nats, fp32."""
    logps, _ = label_logps(model, batch)
    return mx.zeros(batch.ids.shape[0]).at[batch.owners].add(logps)


def kto_losses(policy, reference, desirable, kl, config):
    """(weighted loss of each row, reward of each row) of the recipe's loss_type.

    policy, reference: (batch,) summed log-probabilities, nats; desirable: (batch,) bool; kl: detached, >= 0, nats;
    config: loss_type, beta (1/nats) and the two label weights.
    """
    log_ratio = policy - reference
    good, bad = row_losses(log_ratio, kl, config, mx)
    return mx.where(desirable, good, bad), mx.stop_gradient(config.beta * log_ratio)


def sft_loss(policy, batch: Batch, desirable):
    """Minus the mean log-probability of a label token of the desirable rows, nats; 0 where there is none."""
    tokens = desirable[batch.owners].sum()
    return -mx.where(desirable, policy, 0).sum() / mx.maximum(tokens, 1)
