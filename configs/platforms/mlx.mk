# Apple Silicon: mlx-lm on the unified memory.
REQUIREMENTS ?= requirements-mac.txt
LOCK         ?= requirements-mac.lock
SIZE         ?= 7b
LLAMA_CMAKE  ?= -DGGML_METAL=ON

export TOKENIZERS_PARALLELISM ?= false
