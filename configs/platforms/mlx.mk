# Apple Silicon: mlx-lm on the unified memory. On Linux the same code on the processor, with the CPU platform's lock.
REQUIREMENTS ?= $(if $(filter Darwin,$(shell uname -s)),requirements-mac.txt,requirements-mlx.txt)
LOCK         ?= $(if $(filter Darwin,$(shell uname -s)),requirements-mac.lock,requirements.lock)
SIZE         ?= 7b
LLAMA_CMAKE  ?= $(if $(filter Darwin,$(shell uname -s)),-DGGML_METAL=ON)

export TOKENIZERS_PARALLELISM ?= false
