"""Faster layers with the same values: LoRA linears and RMS norms whose backward passes are written out.

PEFT scales and adds full-width tensors for each adapter, and an RMS norm is fifteen small kernels in autograd; on a CPU
these cost more than the matrix products. Gradients equal the plain layers' (tests/test_fast_torch.py).
"""

from __future__ import annotations

import types

import torch
from peft.tuners.lora import Linear as LoraLinear


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
    """How many layers of the model, LoRA linears and frozen RMS norms, now take the fast way."""
    changed = 0
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
