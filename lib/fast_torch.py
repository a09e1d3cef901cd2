"""Faster layers with the same values: LoRA linears, RMS norms and causal attention, their backward passes written out.

PEFT scales and adds full-width tensors for each adapter, and an RMS norm is fifteen small kernels in autograd; on a CPU
these cost more than the matrix products. Gradients equal the plain layers' (tests/test_fast_torch.py).
"""

from __future__ import annotations

import types

import torch
from peft.tuners.lora import Linear as LoraLinear
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

BLOCK = 128  # queries at once: scores of all heads of a small model stay in the cache
LONGEST = 1024  # tokens; probabilities kept grow with the square: 1.2 MB a head, layer and row at this length in bf16


class LoraProduct(torch.autograd.Function):
    """x W' + scale (x A') B' with gradients for x, A and B; W is frozen.

    x: (..., in); weight: (out, in); a: (rank, in); b: (out, rank). The scale is applied at rank width.
    """

    @staticmethod
    def forward(ctx, x, weight, a, b, scale):
        flat = x.reshape(-1, x.shape[-1])
        a, b = a.to(flat.dtype), b.to(flat.dtype)
        low = (flat @ a.T).mul_(scale)
        ctx.save_for_backward(flat, weight, a, b, low)
        ctx.scale, ctx.shape = scale, x.shape
        return torch.addmm(flat @ weight.T, low, b.T).view(*x.shape[:-1], weight.shape[0])

    @staticmethod
    def backward(ctx, grad):
        flat, weight, a, b, low = ctx.saved_tensors
        grad = grad.reshape(-1, grad.shape[-1])
        grad_low = (grad @ b).mul_(ctx.scale)
        grad_x = torch.addmm(grad @ weight, grad_low, a).view(ctx.shape) if ctx.needs_input_grad[0] else None
        return grad_x, None, (grad_low.T @ flat).float(), (grad.T @ low).float(), None


class RmsNorm(torch.autograd.Function):
    """weight * x / rms(x), computed in fp32 and returned in x's type; the weight is frozen."""

    @staticmethod
    def forward(ctx, x, weight, epsilon):
        wide = x.float()
        inverse = wide.square().mean(-1, keepdim=True).add_(epsilon).rsqrt_()
        normed = wide.mul(inverse).to(x.dtype)
        ctx.save_for_backward(normed, inverse, weight)
        return normed * weight

    @staticmethod
    def backward(ctx, grad):
        normed, inverse, weight = ctx.saved_tensors
        wide = (grad * weight).float()
        shift = (wide * normed).mean(-1, keepdim=True)
        return wide.addcmul_(normed.float(), shift, value=-1).mul_(inverse).to(grad.dtype), None, None


class CausalAttention(torch.autograd.Function):
    """softmax(q k' * scale, keys up to the query's own) v, for a block of queries at a time: later keys cost nothing.

    q: (batch, heads, length, d); k, v: (batch, kv heads, past + length, d): the past is seen by every query.
    Probabilities are kept for the backward pass; PyTorch's CPU kernel makes them anew: 2.4 times as long at 450 tokens.
    """

    @staticmethod
    def forward(ctx, q, k, v, scale):
        batch, heads, length, d = q.shape
        groups, past = heads // k.shape[1], k.shape[2] - length
        q = (q * scale).reshape(-1, groups, length, d)
        k, v = (x.reshape(-1, past + length, d) for x in (k, v))
        out, kept = torch.empty_like(q), []
        for start, end in blocks(length):
            part, seen = q[:, :, start:end].reshape(len(k), -1, d), past + end
            scores = part @ k[:, :seen].transpose(1, 2)
            future = scores.new_full((end - start, end - start), float("-inf")).triu_(1)
            scores.view(len(k), groups, end - start, seen)[..., past + start :] += future
            kept.append(scores.softmax(-1))
            out[:, :, start:end] = (kept[-1] @ v[:, :seen]).view(len(k), groups, -1, d)
        ctx.save_for_backward(q, k, v, out, *kept)
        ctx.scale, ctx.shape = scale, (batch, heads, length, d)
        return out.view(ctx.shape)

    @staticmethod
    def backward(ctx, grad):
        q, k, v, out, *kept = ctx.saved_tensors
        grad = grad.reshape(q.shape)
        shift = (grad * out).sum(-1, keepdim=True)  # what the softmax's own gradient takes off
        dq, dk, dv = torch.empty_like(q), torch.zeros_like(k), torch.zeros_like(v)
        for (start, end), weights in zip(blocks(q.shape[2]), kept, strict=True):
            up, part, less = (x[:, :, start:end].reshape(len(k), -1, x.shape[-1]) for x in (grad, q, shift))
            seen = weights.shape[-1]
            dv[:, :seen] += weights.transpose(1, 2) @ up
            slope = (up @ v[:, :seen].transpose(1, 2)).sub_(less).mul_(weights)
            dq[:, :, start:end] = (slope @ k[:, :seen]).view(len(k), q.shape[1], -1, q.shape[-1])
            dk[:, :seen] += slope.transpose(1, 2) @ part
        dk, dv = (x.view(ctx.shape[0], -1, *x.shape[1:]) for x in (dk, dv))
        return dq.mul_(ctx.scale).view(ctx.shape), dk, dv, None


def blocks(length):
    """(start, end) of each block of queries."""
    return [(start, min(start + BLOCK, length)) for start in range(0, length, BLOCK)]


def attention_forward(module, query, key, value, mask, scaling=None, dropout=0.0, **kwargs):
    """CausalAttention for causal rows up to LONGEST; for a mask, a cache or longer rows the usual sdpa.

    row_lengths: query holds rows one behind another, and each attends to itself alone; row_pasts, (start, end) for each
    row: and to these places of the keys and values that are in front of the rows' own.
    """
    lengths, pasts = kwargs.pop("row_lengths", None), kwargs.pop("row_pasts", None)
    scale = scaling or query.shape[-1] ** -0.5
    if lengths:
        out = rows_attention(query, key, value, lengths, pasts, scale)
    elif mask is None and query.shape[2] == key.shape[2] and query.shape[2] <= LONGEST:
        out = CausalAttention.apply(query, key, value, scale)
    else:
        return sdpa_attention_forward(module, query, key, value, mask, scaling=scaling, dropout=dropout, **kwargs)
    return out.transpose(1, 2).contiguous(), None


def rows_attention(query, key, value, lengths, pasts, scale):
    """(1, heads, tokens, d): the attention of each row, lengths of them one behind another, to its past and itself."""
    past = key.shape[2] - query.shape[2]
    own = zip(*(x.split(lengths, dim=2) for x in (query, key[:, :, past:], value[:, :, past:])), strict=True)
    parts = []
    for number, (q, k, v) in enumerate(own):
        if pasts:
            start, end = pasts[number]
            k, v = (torch.cat([whole[:, :, start:end], x], 2) for whole, x in ((key, k), (value, v)))
        if pasts or q.shape[2] <= LONGEST:
            parts.append(CausalAttention.apply(q, k, v, scale))
        else:
            parts.append(scaled_dot_product_attention(q, k, v, is_causal=True, scale=scale, enable_gqa=True))
    return torch.cat(parts, dim=2)


AttentionInterface.register("causal_blocks", attention_forward)
AttentionMaskInterface.register("causal_blocks", sdpa_mask)


def lora_forward(layer, x, *args, **kwargs):
    """LoraLinear.forward for one active adapter without dropout; anything else takes PEFT's own way."""
    name = layer.active_adapters[0]
    if layer.disable_adapters or layer.merged or len(layer.active_adapters) > 1 or args or kwargs:
        return LoraLinear.forward(layer, x, *args, **kwargs)
    x = x.to(layer.base_layer.weight.dtype)
    a, b = layer.lora_A[name].weight, layer.lora_B[name].weight
    return LoraProduct.apply(x, layer.base_layer.weight, a, b, layer.scaling[name])


def norm_forward(layer, x):
    return RmsNorm.apply(x, layer.weight, layer.variance_epsilon)


def is_plain_lora(layer) -> bool:
    """Whether LoraProduct computes what this layer does: bias-free, unquantized, no dropout, no DoRA."""
    return (
        type(layer) is LoraLinear
        and type(layer.base_layer) is torch.nn.Linear
        and layer.base_layer.bias is None
        and all(isinstance(drop, torch.nn.Identity) for drop in layer.lora_dropout.values())
        and not any(layer.use_dora.values())
    )


def has_window(config) -> bool:
    """Whether some layer attends to the last tokens only."""
    return bool(getattr(config, "sliding_window", None) and getattr(config, "use_sliding_window", True))


def has_plain_attention(config) -> bool:
    """Whether each layer's attention is a softmax over all earlier tokens and nothing else."""
    others = ("attn_logit_softcapping", "attention_dropout")
    return not has_window(config) and not any(getattr(config, name, None) for name in others)


def speed_up(model) -> int:
    """How many LoRA linears and frozen RMS norms now take the fast way; on a CPU plain attention takes it, too."""
    changed = 0
    base = model.get_base_model() if hasattr(model, "get_base_model") else model
    if base.device.type == "cpu" and base.config._attn_implementation == "sdpa" and has_plain_attention(base.config):
        base.set_attn_implementation("causal_blocks")
    for layer in model.modules():
        if is_plain_lora(layer):
            layer.forward = types.MethodType(lora_forward, layer)
        elif type(layer).__name__.endswith("RMSNorm") and hasattr(layer, "variance_epsilon"):
            if layer.weight.requires_grad:
                continue
            layer.forward = types.MethodType(norm_forward, layer)
        else:
            continue
        changed += 1
    return changed
