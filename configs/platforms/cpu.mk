# No GPU: trl + peft on a small model. The whole pipeline runs on two cores.
REQUIREMENTS ?= requirements.txt
LOCK         ?= requirements.lock
SIZE         ?= tiny
LLAMA_CMAKE  ?=

# Freed tensors stay with the process, in huge pages: page faults cost half of a plain training step otherwise. Small
# chunks are joined again at once: PyTorch's aligned requests leave one behind each tensor, and the searches past them
# took a fifth of a step.
export MALLOC_MMAP_THRESHOLD_ ?= 4294967296
export MALLOC_TRIM_THRESHOLD_ ?= 17179869184
export MALLOC_TOP_PAD_        ?= 268435456
export GLIBC_TUNABLES         ?= glibc.malloc.hugetlb=1:glibc.malloc.mxfast=0:glibc.malloc.tcache_max=32
export TOKENIZERS_PARALLELISM ?= false
