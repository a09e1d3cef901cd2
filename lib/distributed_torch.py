"""What changes when several processes train one model: whose batches are whose, and a loss inside DDP's forward.

The recipe's accumulation is shared out over the processes: a step sees the same batches with any number of them.
KTO's KL is that of each micro-batch, as in one process; trl takes one mean over those of all processes.
"""

from __future__ import annotations

import functools
import types
from collections import defaultdict
from pathlib import Path

import torch
from accelerate import PartialState
from accelerate.utils import gather_object

from lib.launch import STOP
from lib.ranks import is_first, rank, world_size


def own_batches(batches: list[list[int]]) -> list[list[int]]:
    """This process's share of an epoch: every n-th batch. The first ones come again where the last round is short."""
    missing = -len(batches) % world_size()
    return (batches + batches[:missing])[rank() :: world_size()]


def open_forward(model) -> None:
    """Let model(function, ...) run the function where the model's own forward would run: inside of what wraps it."""
    usual = model.forward

    def forward(self, *args, **kwargs):
        if args and isinstance(args[0], functools.partial):
            # The wrapper's autocast would round what the loss computes in fp32 on purpose.
            with torch.autocast(next(self.parameters()).device.type, enabled=False):
                return args[0](*args[1:], **kwargs)
        return usual(*args, **kwargs)

    model.forward = types.MethodType(forward, model)


def inside(compute):
    """A trainer's compute_loss, run inside the wrapper's forward: hooks there prepare the exchange of gradients.

    The losses take hidden states from the decoder itself, so that the wrapper would not notice the step otherwise.
    """

    @functools.wraps(compute)
    def routed(self, model, *args, **kwargs):
        if world_size() == 1:
            return compute(self, model, *args, **kwargs)
        inner = self.accelerator.unwrap_model(model)
        return model(functools.partial(compute, self, inner), *args, **kwargs)

    return routed


def run_inside(trainer, function, *args):
    """function(*args) where FSDP2 has put the weights together, if it holds them in shards; plainly otherwise."""
    if not trainer.is_fsdp_enabled:
        return function(*args)
    return trainer.model_wrapped(functools.partial(function, *args))


def shared_figures(figures: dict[str, list[float]]) -> dict[str, list[float]]:
    """The logged figures of all processes in one, so that their means are those of the whole batch."""
    if world_size() == 1:
        return figures
    together = defaultdict(list)
    for part in gather_object([dict(figures)]):
        for name, values in part.items():
            together[name] += values
    return together


def agreed(stopped: bool, run: Path) -> bool:
    """Whether to stop after this step: the same answer in every process, or one would wait for the others for ever."""
    if world_size() == 1:
        return stopped
    wanted = torch.tensor(int(stopped or (is_first() and (run / STOP).exists())), device=PartialState().device)
    torch.distributed.all_reduce(wanted, op=torch.distributed.ReduceOp.MAX)
    return bool(wanted)


def first_alone():
    """A block that the first process runs before the others, for what it leaves on disk for them."""
    return PartialState().main_process_first()


def leave() -> None:
    """Part from the other processes; without it their threads outlive Python and complain."""
    PartialState().destroy_process_group()


def whole_state(trainer) -> dict | None:
    """The model's weights gathered from their shards; None where each process has them all."""
    return trainer.accelerator.get_state_dict(trainer.model_wrapped) if trainer.is_fsdp_enabled else None
