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

    q: (batch, heads, length, d); k, v: (batch, kv heads, length, d). Probabilities are kept for the backward pass;
    PyTorch's CPU kernel makes them anew and takes 2.4 times as long at 450 tokens.
    """

    @staticmethod
    def forward(ctx, q, k, v, scale):
        batch, heads, length, d = q.shape
        groups = heads // k.shape[1]
        q = (q * scale).reshape(-1, groups, length, d)
        k, v = (x.reshape(-1, length, d) for x in (k, v))
        out, kept = torch.empty_like(q), []
        for start, end in blocks(length):
            part = q[:, :, start:end].reshape(len(k), -1, d)
            scores = part @ k[:, :end].transpose(1, 2)
            future = scores.new_full((end - start, end - start), float("-inf")).triu_(1)
            scores.view(len(k), groups, end - start, end)[..., start:] += future
            kept.append(scores.softmax(-1))
            out[:, :, start:end] = (kept[-1] @ v[:, :end]).view(len(k), groups, -1, d)
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
            dv[:, :end] += weights.transpose(1, 2) @ up
            slope = (up @ v[:, :end].transpose(1, 2)).sub_(less).mul_(weights)
            dq[:, :, start:end] = (slope @ k[:, :end]).view(len(k), q.shape[1], -1, q.shape[-1])
            dk[:, :end] += slope.transpose(1, 2) @ part
        batch, heads, length, d = ctx.shape
        dk, dv = (x.view(batch, -1, length, d) for x in (dk, dv))
        return dq.mul_(ctx.scale).view(ctx.shape), dk, dv, None


def blocks(length):
    """(start, end) of each block of queries."""
    return [(start, min(start + BLOCK, length)) for start in range(0, length, BLOCK)]


def attention_forward(module, query, key, value, mask, scaling=None, dropout=0.0, **kwargs):
    """CausalAttention for plain causal rows up to LONGEST; for a mask, a cache, dropout or a window the usual sdpa.

    packed_lengths: for each pack the lengths of the rows in it; then every row attends to itself alone.
    """
    packed_lengths = kwargs.pop("packed_lengths", None)
    ours = query.shape[2] == key.shape[2] and not dropout and query.device.type == "cpu"
    ours &= all(kwargs.get(name) is None for name in ("sliding_window", "softcap", "s_aux"))
    scale = scaling or query.shape[-1] ** -0.5
    if ours and packed_lengths:
        out = torch.stack(
            [pack_attention(*pack, scale) for pack in zip(query, key, value, packed_lengths, strict=True)]
        )
    elif ours and mask is None and query.shape[2] <= LONGEST:
        out = CausalAttention.apply(query, key, value, scale)
    else:
        return sdpa_attention_forward(module, query, key, value, mask, scaling=scaling, dropout=dropout, **kwargs)
    return out.transpose(1, 2).contiguous(), None


def pack_attention(query, key, value, lengths, scale):
    """(heads, length, d): each row of one pack by itself; query, key and value have no batch dimension."""
    parts = []
    for row in zip(*(x[None].split(lengths, dim=2) for x in (query, key, value)), strict=True):
        if row[0].shape[2] <= LONGEST:
            parts.append(CausalAttention.apply(*row, scale))
        else:
            parts.append(scaled_dot_product_attention(*row, is_causal=True, scale=scale, enable_gqa=True))
    return torch.cat(parts, dim=2)[0]


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


def speed_up(model) -> int:
    """How many LoRA linears and frozen RMS norms now take the fast way; on a CPU attention takes it, too."""
    changed = 0
    base = model.get_base_model() if hasattr(model, "get_base_model") else model
    if base.device.type == "cpu" and base.config._attn_implementation == "sdpa":
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
