"""KTO's losses as one formula for PyTorch's tensors and MLX's arrays; docs/kto.md says where each comes from.

A row's loss is 1 - sigmoid(m) where it is desirable and 1 - sigmoid(-m) where it is not; m is its margin.
"""

from __future__ import annotations


def kto(ratio, kl, beta, tanh):
    """beta (r - z): equations 7 and 8 of arXiv 2402.01306."""
    return beta * (ratio - kl)


def apo_zero_unpaired(ratio, kl, beta, tanh):
    """beta r: the unpaired form of APO-zero, equation 7 of arXiv 2408.06266; no KL."""
    return beta * ratio


def kto_s(ratio, kl, beta, tanh):
    """beta r + beta z tanh(beta r): experimental, published nowhere.

    z counts with the sign of r, as r + sign(r) z would, but without that one's jump of 2 z at r = 0, where all rows
    start: tanh(beta r) is 0 there and +-1 where |r| is many times 1 / beta.
    """
    return beta * ratio + beta * kl * tanh(beta * ratio)


MARGINS = {"kto": kto, "apo_zero_unpaired": apo_zero_unpaired, "kto_s": kto_s}


def needs_kl(config) -> bool:
    """Whether the loss asks for the mismatched completions."""
    return config.loss_type != "apo_zero_unpaired"


def row_losses(ratio, kl, config, library):
    """(loss of each row were it desirable, loss were it undesirable), both with their label's weight.

    ratio: (batch,) log pi(y|x) - log pi_ref(y|x), nats; kl: the detached estimate z >= 0, nats; config: loss_type, beta
    (1/nats) and the two weights; library: torch or mlx.core, for sigmoid and tanh.
    """
    margin = MARGINS[config.loss_type](ratio, kl, config.beta, library.tanh)
    good = config.desirable_weight * (1 - library.sigmoid(margin))
    return good, config.undesirable_weight * (1 - library.sigmoid(-margin))
