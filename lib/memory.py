"""What a LoRA training will take in memory, part by part, from the base model's config.json alone.

A forecast: closed forms over the shape, the recipe and the length of the rows. docs in `make fit`; one measured step
(`make probe`) gives the factor by which to correct it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from lib.errors import CannotRun

GB = 1e9
GIB = 2**30
# What CUDA, PyTorch's CPU allocator, oneDNN, C++ and Metal say when there is no more; oneDNN's primitives want room of
# their own, and its message names no cause.
FULL = ("out of memory", "can't allocate", "could not create a primitive", "bad_alloc", "insufficient memory", "malloc")
# Bytes a parameter of a linear layer: bf16; nf4 with its scales; MLX's 4-bit groups of 64; mxfp4 blocks of 32.
WEIGHT_BYTES = {"bf16": 2.0, "nf4": 0.55, "mlx4": 0.5625, "mxfp4": 0.53125}
# Bytes a LoRA parameter: fp32 weight and gradient, two fp32 moments of Adam (two bytes for both in the 8-bit form).
ADAPTER_BYTES = {"fp32": 16.0, "8bit": 10.0, "bf16": 8.0}
HEAD_ROWS = {"cpu": 256, "cuda": 256, "mlx": 1024}  # lib/loss_torch.CHUNK and lib/loss_mlx.CHUNK
HEAD_BYTES = 12  # a logit: bf16, its fp32 copy, log-softmax, its gradient in bf16
FULL_HEAD_BYTES = 10  # a logit where all exist at once: bf16, fp32, the gradient
ATTENTION_BLOCK, ATTENTION_LONGEST = 128, 1024  # lib/fast_torch keeps probabilities up to this length
# Python with PyTorch, transformers, trl and peft; CUDA's context and cuBLAS' workspace; Python with MLX.
RUNTIME = {"cpu": 0.5 * GB, "cuda": 0.75 * GB, "mlx": 0.4 * GB}
# With checkpointing one layer is computed anew at a time; its gradients and fp32 copies on their way come to so many
# times its own values. MLX: on Linux, mlx[cpu].
LIVE_LAYERS = {"cpu": 1.0, "cuda": 1.0, "mlx": 1.5}
SLACK = {"cpu": 0.0, "cuda": 0.05, "mlx": 0.05}  # of the rest: blocks that fit nothing else
# glibc keeps freed blocks, and what stays of a layer lies between them: each layer leaves holes of about the width of
# its widest value, so many bytes for each of its numbers. Fitted, as the CPU's RUNTIME: scripts/bench_memory, "fitted".
HOLES = 3.4
# mlx-lm's LoRA layers multiply in fp32 and keep what they multiply; its attention keeps scores and probabilities.
MLX_LAYER, MLX_PROBABILITY = 2.3, 4.3


@dataclass(frozen=True)
class Shape:
    """A decoder: sizes of its layers, and how its config says that its weights are stored ('' when it does not)."""

    hidden: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    ffn: int
    vocabulary: int
    tied: bool = False
    experts: int = 0
    active_experts: int = 1
    quantized: str = ""

    @property
    def linears(self) -> list[tuple[int, int]]:
        """(in, out) of the linear layers of one block that LoRA adapts; the experts' fused ones are none of them."""
        q, kv = self.heads * self.head_dim, self.kv_heads * self.head_dim
        attention = [(self.hidden, q), (self.hidden, kv), (self.hidden, kv), (q, self.hidden)]
        mlp = [(self.hidden, self.ffn), (self.hidden, self.ffn), (self.ffn, self.hidden)]
        return attention + ([] if self.experts else mlp)

    @property
    def block_parameters(self) -> int:
        """Of all linear layers."""
        one = sum(m * n for m, n in self.linears)
        expert = 3 * self.hidden * self.ffn * self.experts
        return self.layers * (one + expert)

    @property
    def other_parameters(self) -> int:
        """Embeddings, head and norms, which stay in 16 bit."""
        return self.vocabulary * self.hidden * (1 if self.tied else 2) + (2 * self.layers + 1) * self.hidden

    @property
    def parameters(self) -> int:
        return self.block_parameters + self.other_parameters

    def adapter_parameters(self, rank: int) -> int:
        """rank (m + n) for each adapted linear layer."""
        return self.layers * sum(rank * (m + n) for m, n in self.linears)


def read_shape(config: dict, source: str) -> Shape:
    """The shape that a config.json describes; CannotRun when it is none of a decoder."""
    config = config.get("text_config") or config
    names = ("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size", "vocab_size")
    bad = [name for name in names if not isinstance(config.get(name), int) or config[name] < 1]
    if bad:
        raise CannotRun(f"{source}: no whole number for {', '.join(bad)}; a decoder's config.json has them.")
    hidden, layers, heads, ffn, vocabulary = (config[name] for name in names)
    experts = config.get("num_local_experts") or config.get("num_experts") or 0
    method = (config.get("quantization_config") or {}).get("quant_method", "")
    quantized = {"bitsandbytes": "nf4", "mxfp4": "mxfp4"}.get(method, "")
    if (config.get("quantization") or {}).get("bits") == 4:
        quantized = "mlx4"
    return Shape(
        hidden=hidden,
        layers=layers,
        heads=heads,
        kv_heads=config.get("num_key_value_heads") or heads,
        head_dim=config.get("head_dim") or hidden // heads,
        ffn=config.get("moe_intermediate_size") or ffn,
        vocabulary=vocabulary,
        tied=bool(config.get("tie_word_embeddings", str(config.get("model_type", "")).startswith("gemma"))),
        experts=experts,
        active_experts=(config.get("num_experts_per_tok") or 1) if experts else 1,
        quantized=quantized,
    )


@dataclass(frozen=True)
class Plan:
    """One training: where, with what weights and adapter, and how many rows of which length are in memory at once."""

    platform: str
    weights: str  # a key of WEIGHT_BYTES
    adapter: str  # a key of ADAPTER_BYTES
    rank: int
    batch: int
    length: int
    accumulation: int = 1
    checkpointing: bool = False
    chunked_head: bool = True
    packing: bool = False


def plan_of(shape: Shape, platform: str, config) -> Plan:
    """What our trainers do on a platform with a recipe; KTO's recipe names no rank, it takes that of its SFT run."""
    stored = {"cuda": shape.quantized or "nf4", "mlx": shape.quantized or "bf16", "cpu": "bf16"}[platform]
    return Plan(
        platform=platform,
        weights=stored,
        adapter="8bit" if platform == "cuda" else "fp32",
        rank=getattr(config, "lora_rank", 32),
        batch=config.batch_size,
        length=config.max_length,
        accumulation=config.grad_accumulation,
        checkpointing=config.gradient_checkpointing,
        packing=getattr(config, "packing", False),
    )


def layer_bytes(shape: Shape, plan: Plan) -> float:
    """What the backward pass needs of one block, for all rows of a batch; attention's probabilities left out."""
    h, q, kv = shape.hidden, shape.heads * shape.head_dim, shape.kv_heads * shape.head_dim
    ffn = shape.ffn * shape.active_experts
    if plan.platform == "cpu":  # what lib/fast_torch saves: two norms, q k v and their products, the gated layer
        return 2 * (4 * h + 3 * q + 2 * kv + 4 * ffn + plan.rank * len(shape.linears)) * plan.batch * plan.length
    wider = MLX_LAYER if plan.platform == "mlx" else 1.0
    return wider * 2 * (8 * h + q + 2 * kv + 4 * ffn) * plan.batch * plan.length


def attention_bytes(shape: Shape, plan: Plan) -> float:
    """Attention probabilities of one block, where the kernel keeps them: ours on the CPU, and MLX's.

    In a pack each row attends to itself; two of half the pack's length, or of the longest that are kept, need most.
    """
    length = plan.length
    if plan.packing:
        length = min(length // 2, ATTENTION_LONGEST)
    if plan.platform == "cpu" and length <= ATTENTION_LONGEST:
        return plan.batch * plan.length * shape.heads * (length + ATTENTION_BLOCK)
    if plan.platform == "mlx":
        return MLX_PROBABILITY * plan.batch * shape.heads * length * length
    return 0.0


def forecast(shape: Shape, plan: Plan) -> dict[str, float]:
    """Part -> bytes at the peak of a step."""
    tokens = plan.batch * plan.length
    per_weight = WEIGHT_BYTES[plan.weights]
    others = per_weight if plan.weights == "mlx4" else WEIGHT_BYTES["bf16"]
    adapter = shape.adapter_parameters(plan.rank)
    optimizer = {"fp32": 8.0, "8bit": 2.0, "bf16": 4.0}[plan.adapter]
    layer, attention = layer_bytes(shape, plan), attention_bytes(shape, plan)
    kept = shape.layers * (2 * tokens * shape.hidden if plan.checkpointing else layer)
    live = 2 * tokens * (3 * shape.ffn * shape.active_experts + 3 * shape.hidden)  # gradients on their way
    if plan.checkpointing:
        live = LIVE_LAYERS[plan.platform] * layer
    rows = min(HEAD_ROWS[plan.platform], tokens)
    logits = rows * HEAD_BYTES if plan.chunked_head else tokens * FULL_HEAD_BYTES
    if plan.platform == "cpu":  # the logits are gone before the way back begins
        live = max(0.0, live - logits * shape.vocabulary)
    unpacked = max(2 * m * n for m, n in shape.linears) if plan.weights not in ("bf16",) else 0
    parts = {
        "weights": shape.block_parameters * per_weight + shape.other_parameters * others,
        "LoRA and its gradients": adapter * (ADAPTER_BYTES[plan.adapter] - optimizer),
        "optimizer": adapter * optimizer,
        "activations": kept + live,
        "attention": attention * (LIVE_LAYERS[plan.platform] if plan.checkpointing else shape.layers),
        "logits": logits * shape.vocabulary,
        "a layer unpacked": unpacked,
    }
    slack = SLACK[plan.platform] * sum(parts.values())
    if plan.platform == "cpu":
        slack = HOLES * shape.layers * tokens * shape.ffn * shape.active_experts
    return parts | {"runtime": RUNTIME[plan.platform], "slack": slack}


def total(shape: Shape, plan: Plan, factor: float = 1.0) -> float:
    """Bytes at the peak; factor: measured over predicted, from one probe step."""
    return factor * sum(forecast(shape, plan).values())


def largest_batch(shape: Shape, plan: Plan, budget: float, factor: float = 1.0) -> int:
    """Rows of plan.length that fit at once; 0 when not even one does."""
    count = 0
    while count < 1024 and total(shape, replace(plan, batch=count + 1), factor) <= budget:
        count += 1
    return count


def largest_length(shape: Shape, plan: Plan, budget: float, factor: float = 1.0) -> int:
    """Tokens of a single row that fit, in steps of 64; 0 when not even 64 do."""
    length = 0
    while length < 131072 and total(shape, replace(plan, batch=1, length=length + 64), factor) <= budget:
        length += 64
    return length


def fitting(shape: Shape, plan: Plan, budget: float, factor: float = 1.0) -> tuple[Plan, list[str]] | None:
    """(the plan that fits, the flags that lead to it), the least costly change first; None when none does.

    A smaller batch with as much more accumulation changes nothing but speed, checkpointing a third of the speed, a
    smaller limit leaves out rows.
    """
    update = plan.batch * plan.accumulation
    for length in dict.fromkeys((plan.length, *(limit for limit in (1024, 512, 256) if limit < plan.length))):
        for checkpointing in dict.fromkeys((plan.checkpointing, True)):
            tried = replace(plan, length=length, checkpointing=checkpointing)
            batch = min(plan.batch, largest_batch(shape, tried, budget, factor))
            if batch < 1:
                continue
            batch = max(size for size in range(1, batch + 1) if update % size == 0)
            tried = replace(tried, batch=batch, accumulation=update // batch)
            return tried, flags(plan, tried)
    return None


def flags(old: Plan, new: Plan) -> list[str]:
    """The options of scripts.sft and scripts.kto that make a recipe's plan into this one."""
    found = []
    if new.batch != old.batch:
        found += ["--batch-size", str(new.batch), "--grad-accumulation", str(new.accumulation)]
    if new.checkpointing and not old.checkpointing:
        found.append("--gradient-checkpointing")
    if new.length != old.length:
        found += ["--max-length", str(new.length)]
    return found


def says_full(words: str) -> bool:
    """Whether an error's words are those of a full memory."""
    return any(said in words.lower() for said in FULL)
