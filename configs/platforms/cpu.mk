# No GPU: trl + peft on a small model. The whole pipeline runs on two cores.
REQUIREMENTS ?= requirements.txt
LOCK         ?= requirements.lock
SIZE         ?= tiny
LLAMA_CMAKE  ?=

# Freed tensors stay with the process: page faults cost half of a plain training step otherwise.
export MALLOC_MMAP_THRESHOLD_ ?= 4294967296
export MALLOC_TRIM_THRESHOLD_ ?= 17179869184
export MALLOC_TOP_PAD_        ?= 268435456
export TOKENIZERS_PARALLELISM ?= false
