"""Faster layers with the same values: LoRA linears, RMS norms and causal attention, their backward passes written out.

PEFT scales and adds full-width tensors for each adapter, and an RMS norm is fifteen small kernels in autograd; on a CPU
these cost more than the matrix products. Gradients equal the plain layers' (tests/test_fast_torch.py).
"""

from __future__ import annotations

import types
from itertools import accumulate

import torch
from peft.tuners.lora import Linear as LoraLinear
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from lib.base_model import window_of

BLOCK = 128  # queries at once: scores of all heads of a small model stay in the cache
LIKE = 0.8  # shortest to longest row of a group in attention
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


class RowsAttention(torch.autograd.Function):
    """softmax(q k' * scale, keys up to the query's own) v in each of the rows that lie one behind another.

    q: (tokens, heads, d); k, v: (tokens, kv heads, d); lengths: tokens of each row. Rows of like lengths go together,
    padded, a block of queries at a time: later keys cost nothing. Probabilities of rows up to LONGEST are kept for the
    backward pass; PyTorch's CPU kernel makes them anew: 2.4 times as long at 450 tokens.
    """

    @staticmethod
    def forward(ctx, q, k, v, lengths, scale):
        ctx.scale, ctx.kv_heads, ctx.groups = scale, k.shape[1], []
        saved, out = [], torch.empty_like(q)
        for spans in like_rows(lengths):
            rows = [padded(x, spans, k.shape[1]) for x in (q, k, v)]
            rows[0] *= scale
            found, kept = attend(*rows, keep=rows[0].shape[2] <= LONGEST)
            put(out, found, spans)
            ctx.groups.append((spans, len(kept)))
            saved += [*rows, found, *kept]
        ctx.save_for_backward(*saved)
        return out

    @staticmethod
    def backward(ctx, grad):
        saved, found = iter(ctx.saved_tensors), None
        for spans, count in ctx.groups:
            q, k, v, out = (next(saved) for _ in range(4))
            slopes = attend_backward(
                padded(grad, spans, ctx.kv_heads), q, k, v, out, [next(saved) for _ in range(count)]
            )
            slopes[0].mul_(ctx.scale)
            if found is None:
                found = [grad.new_empty(len(grad), ctx.kv_heads * x.shape[1], x.shape[-1]) for x in slopes]
            for whole, part in zip(found, slopes, strict=True):
                put(whole, part, spans)
        return *found, None, None


def probabilities(q, k, start, end):
    """(n, group * (end - start), past + end): how the queries of a block weigh the keys up to their own; for attend."""
    part, past, seen = q[:, :, start:end].flatten(1, 2), k.shape[2] - q.shape[2], k.shape[2] - q.shape[2] + end
    scores = part @ k[:, 0, :seen].transpose(1, 2)
    future = scores.new_full((end - start, end - start), float("-inf")).triu_(1)
    scores.view(*q.shape[:2], end - start, seen)[..., past + start :] += future
    return scores.softmax(-1)


def attend(q, k, v, keep):
    """(softmax(q k') v, the probabilities of each block of queries; none without keep).

    q: (n, group, length, d), scaled, the group of heads that share their keys; k, v: (n, 1, past + length, d), the past
    being seen by every query.
    """
    out, kept = torch.empty_like(q), []
    for start, end in blocks(q.shape[2]):
        weights = probabilities(q, k, start, end)
        out[:, :, start:end] = (weights @ v[:, 0, : weights.shape[-1]]).unflatten(1, (q.shape[1], -1))
        kept += [weights] if keep else []
    return out, kept


def attend_backward(grad, q, k, v, out, kept):
    """The gradients of attend's q, k and v; kept may be empty."""
    dq, dk, dv = torch.empty_like(q), torch.zeros_like(k), torch.zeros_like(v)
    shift = (grad * out).sum(-1, keepdim=True)  # what the softmax's own gradient takes off
    for number, (start, end) in enumerate(blocks(q.shape[2])):
        up, part, less = (x[:, :, start:end].flatten(1, 2) for x in (grad, q, shift))
        weights = kept[number] if kept else probabilities(q, k, start, end)
        seen = weights.shape[-1]
        dv[:, 0, :seen] += weights.transpose(1, 2) @ up
        slope = (up @ v[:, 0, :seen].transpose(1, 2)).sub_(less).mul_(weights)
        dq[:, :, start:end] = (slope @ k[:, 0, :seen]).unflatten(1, (q.shape[1], -1))
        dk[:, 0, :seen] += slope.transpose(1, 2) @ part
    return dq, dk, dv


def blocks(length):
    """(start, end) of each block of queries."""
    return [(start, min(start + BLOCK, length)) for start in range(0, length, BLOCK)]


def like_rows(lengths: list[int]) -> list[list[tuple[int, int]]]:
    """(start, end) of the rows in groups, the longest first: no row is shorter than LIKE of its group's longest."""
    groups, ends = [], list(accumulate(lengths))
    for start, end in sorted(zip([0, *ends], ends, strict=False), key=lambda span: span[0] - span[1]):
        if groups and end - start >= LIKE * (groups[-1][0][1] - groups[-1][0][0]):
            groups[-1].append((start, end))
        else:
            groups.append([(start, end)])
    return groups


def padded(x, spans, kv_heads):
    """(rows * kv heads, heads of each, longest, d) with zeros behind the rows of x: (tokens, heads, d); spans[0] is the
    longest row's."""
    longest = spans[0][1] - spans[0][0]
    found = x.new_empty(len(spans), x.shape[1], longest, x.shape[2])
    for row, (start, end) in zip(found, spans, strict=True):
        row[:, : end - start] = x[start:end].transpose(0, 1)
        row[:, end - start :] = 0
    return found.view(len(spans) * kv_heads, -1, longest, x.shape[2])


def put(whole, found, spans):
    """Write the rows of padded's kind back to their places in whole: (tokens, heads, d)."""
    rows = found.view(len(spans), -1, *found.shape[2:])
    for row, (start, end) in zip(rows, spans, strict=True):
        whole[start:end] = row[:, : end - start].transpose(0, 1)


def past_attention(q, k, v, lengths, pasts, scale):
    """(tokens, heads, d): RowsAttention whose rows see other keys and values as well; without a gradient.

    k, v: (others + tokens, kv heads, d); pasts: (start, end) of what each row sees in front of its own.
    """
    out, others, end = torch.empty_like(q), len(k) - len(q), 0
    for length, (first, last) in zip(lengths, pasts, strict=True):
        start, end = end, end + length
        own = slice(others + start, others + end)
        seen = [padded(torch.cat([x[first:last], x[own]]), [(0, last - first + length)], k.shape[1]) for x in (k, v)]
        found, _ = attend(padded(q, [(start, end)], k.shape[1]).mul_(scale), *seen, keep=False)
        put(out, found, [(start, end)])
    return out


def attention_forward(module, query, key, value, mask, scaling=None, dropout=0.0, **kwargs):
    """RowsAttention for rows one behind another, their lengths in row_lengths; without them, the usual sdpa.

    row_pasts, (start, end) for each row: places of the keys and values in front of the rows' own that it sees as well.
    """
    lengths, pasts = kwargs.pop("row_lengths", None), kwargs.pop("row_pasts", None)
    if not lengths:
        return sdpa_attention_forward(module, query, key, value, mask, scaling=scaling, dropout=dropout, **kwargs)
    q, k, v = (x[0].transpose(0, 1) for x in (query, key, value))
    scale = scaling or query.shape[-1] ** -0.5
    if pasts:
        return past_attention(q, k, v, lengths, pasts, scale)[None], None
    return RowsAttention.apply(q, k, v, lengths, scale)[None], None


AttentionInterface.register("causal_rows", attention_forward)
AttentionMaskInterface.register("causal_rows", sdpa_mask)


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


def has_plain_attention(config) -> bool:
    """Whether each layer's attention is a softmax over all earlier tokens and nothing else."""
    others = ("attn_logit_softcapping", "attention_dropout")
    return not window_of(config.to_dict()) and not any(getattr(config, name, None) for name in others)


def speed_up(model) -> int:
    """How many LoRA linears and frozen RMS norms now take the fast way; on a CPU plain attention takes it, too."""
    changed = 0
    base = model.get_base_model() if hasattr(model, "get_base_model") else model
    if base.device.type == "cpu" and base.config._attn_implementation == "sdpa" and has_plain_attention(base.config):
        base.set_attn_implementation("causal_rows")
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
