# NVIDIA GPU: unsloth + trl + peft on 4-bit base weights.
REQUIREMENTS ?= requirements-cuda.txt
LOCK         ?= requirements-cuda.lock
SIZE         ?= 7b
LLAMA_CMAKE  ?= -DGGML_CUDA=ON

export TOKENIZERS_PARALLELISM ?= false
