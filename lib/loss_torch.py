"""Losses over completion tokens: the language-model head runs only where a label asks for it."""

from __future__ import annotations

from itertools import pairwise

import torch
from transformers import DynamicCache

from lib.base_model import window_of
from lib.errors import CannotRun
from lib.kto_loss import row_losses
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


def base_of(model):
    """The causal language model inside a PEFT model, or the model itself."""
    return model.get_base_model() if hasattr(model, "get_base_model") else model


def hidden_states(model, input_ids, **others):
    """(batch, length, d): the decoder's last hidden states; others go to its forward.

    Autocast stands here because the trainers wrap only model.forward in it: LoRA's fp32 masters multiply in bf16.
    """
    causal = base_of(model)
    half = causal.get_output_embeddings().weight.dtype == torch.bfloat16
    with torch.autocast(input_ids.device.type, torch.bfloat16, enabled=half):
        return causal.get_decoder()(input_ids=input_ids, **{"use_cache": False} | others).last_hidden_state


def head_logps(model, hidden, targets):
    """(log-probability of each target that is not IGNORED, nats, fp32; the batch row of each; how many came first).

    hidden: (batch, length, d), the states that predict targets: (batch, length).
    """
    weight = base_of(model).get_output_embeddings().weight
    wanted = targets != IGNORED
    logps, correct = HeadLogps.apply(hidden[wanted].to(weight.dtype), weight, targets[wanted])
    return logps, torch.nonzero(wanted)[:, 0], correct


def label_logps(model, input_ids, labels, position_ids=None):
    """(log-probability of each label token, nats, fp32; the batch row of each; how many were the top choice).

    input_ids, labels: (batch, length), padded on the right. The head multiplies only the hidden states that predict a
    label, so its cost follows the completions and not the prompts. No attention mask is needed: attention is causal, so
    padding behind a row cannot reach it, and without a mask the kernels skip half of the work. position_ids: where rows
    are packed one behind another, each counts from 0, which keeps the model's attention inside of it.
    """
    kind = base_of(model).config._attn_implementation
    if kind == "causal_rows":
        hidden = unpadded_states(model, input_ids, *tokens_that_count(labels, position_ids))
    elif position_ids is None:
        hidden = hidden_states(model, input_ids)
    elif "flash" in kind:  # it looks for rows by their positions in one pack only
        flat = hidden_states(model, input_ids.view(1, -1), position_ids=position_ids.view(1, -1))
        hidden = flat.view(*input_ids.shape, -1)
    else:
        hidden = hidden_states(model, input_ids, position_ids=position_ids)
    return head_logps(model, hidden[:, :-1], labels[:, 1:])


def tokens_that_count(labels, position_ids=None):
    """((batch, length) bool: all tokens of a pack, those up to a row's last label otherwise; the place of each)."""
    places = torch.arange(labels.shape[1], device=labels.device).expand_as(labels)
    if position_ids is not None:
        return torch.ones_like(labels, dtype=torch.bool), position_ids
    last = torch.where(labels != IGNORED, places, 0).amax(1)
    return places <= last[:, None], places


def unpadded_states(model, input_ids, counted, places, **others):
    """(batch, length, d): hidden_states of the tokens that count, 0 elsewhere, for our own attention.

    They run as one sequence, so padding costs nothing; a row begins where its place is the row's first.
    """
    starts = torch.ones_like(counted)
    starts[:, 1:] = places[:, 1:] <= places[:, :-1]
    firsts = torch.nonzero(starts[counted])[:, 0].tolist() + [int(counted.sum())]
    flat = hidden_states(
        model,
        input_ids[counted][None],
        position_ids=places[counted][None],
        attention_mask=counted.new_ones(1, 1, 1, 1),  # four dimensions: transformers builds none of its own
        row_lengths=[end - start for start, end in pairwise(firsts)],
        **others,
    )
    return flat.new_zeros(*input_ids.shape, flat.shape[-1]).masked_scatter(counted[..., None], flat)


def row_sums(logps, rows, count: int):
    """(count,) sums of the log-probabilities by row."""
    return torch.zeros(count, device=logps.device).index_add(0, rows, logps)


def row_logps(model, input_ids, labels):
    """Summed log-probability of each row's label tokens: (batch,), nats, fp32."""
    logps, rows, _ = label_logps(model, input_ids, labels)
    return row_sums(logps, rows, len(input_ids))


def branch_logps(model, input_ids, labels, prompt_lengths, other_ids, other_labels):
    """(row_logps, the same of each row's prompt with another completion, without a gradient): the prompt runs once.

    input_ids, labels: (batch, length), prompt and completion, padded on the right; prompt_lengths: (batch,) tokens;
    other_ids, other_labels: (batch, length'), the other completions alone. Their tokens attend to the kept keys and
    values of their row's prompt and to one another, at the positions that they would have behind it.
    """
    if window_of(base_of(model).config.to_dict()):
        raise CannotRun("shared_prefix needs a model that attends to the whole row. Fix: --no-shared-prefix.")
    plain = base_of(model).config._attn_implementation == "causal_rows"
    hidden, branch = (unpadded_branch if plain else padded_branch)(
        model, input_ids, labels, prompt_lengths, other_ids, other_labels
    )
    logps, rows, _ = head_logps(model, hidden[:, :-1], labels[:, 1:])
    own = row_sums(logps, rows, len(input_ids))
    with torch.no_grad():
        last = hidden[torch.arange(len(input_ids), device=input_ids.device), prompt_lengths - 1]
        logps, rows, _ = head_logps(model, torch.cat([last[:, None], branch[:, :-1]], 1), other_labels)
    return own, row_sums(logps, rows, len(input_ids))


def unpadded_branch(model, input_ids, labels, prompt_lengths, other_ids, other_labels):
    """(hidden states of the rows; of the other completions behind their prompts), (batch, length, d) each, for ours."""
    cache = DynamicCache()
    counted, places = tokens_that_count(labels)
    counted = counted | (places < prompt_lengths[:, None])
    hidden = unpadded_states(model, input_ids, counted, places, past_key_values=cache, use_cache=True)
    ends = counted.sum(1).cumsum(0)
    starts = (ends - counted.sum(1)).tolist()
    prompts = [(start, start + length) for start, length in zip(starts, prompt_lengths.tolist(), strict=True)]
    with torch.no_grad():
        for layer in cache.layers:
            layer.keys, layer.values = layer.keys.detach(), layer.values.detach()
        counted, places = tokens_that_count(other_labels)
        places = places + prompt_lengths[:, None]
        kept = {"past_key_values": cache, "use_cache": True, "row_pasts": prompts}
        return hidden, unpadded_states(model, other_ids, counted, places, **kept)


def padded_branch(model, input_ids, labels, prompt_lengths, other_ids, other_labels):
    """What unpadded_branch returns, by transformers' own attention and a mask."""
    cache = DynamicCache()
    hidden = hidden_states(model, input_ids, past_key_values=cache, use_cache=True)
    with torch.no_grad():
        width = int(prompt_lengths.max())
        for layer in cache.layers:
            layer.keys, layer.values = (x[:, :, :width].detach() for x in (layer.keys, layer.values))
        device = input_ids.device
        prompt = torch.arange(width, device=device) < prompt_lengths[:, None]
        branch = hidden_states(
            model,
            other_ids,
            attention_mask=torch.cat([prompt, torch.ones_like(other_ids, dtype=torch.bool)], 1),
            position_ids=prompt_lengths[:, None] + torch.arange(other_ids.shape[1], device=device),
            past_key_values=cache,
            use_cache=True,
        )
    return hidden, branch


def kto_losses(policy, reference, desirable, kl, config):
    """(weighted loss of each row, reward of each row) of the recipe's loss_type.

    policy, reference: (batch,) summed log-probabilities, nats; desirable: (batch,) bool; kl: detached, >= 0, nats;
    config: loss_type, beta (1/nats) and the two label weights.
    """
    log_ratio = policy - reference
    good, bad = row_losses(log_ratio, kl, config, torch)
    return torch.where(desirable, good, bad), (config.beta * log_ratio).detach()


def sft_loss(policy, labels, desirable):
    """Minus the mean log-probability of a label token of the desirable rows, nats; 0 where there is none.

    policy: (batch,) summed log-probabilities; labels: (batch, length).
    """
    tokens = (labels[:, 1:] != IGNORED).sum(1)[desirable].sum()
    return -policy[desirable].sum() / tokens.clamp(min=1)
