# Tool-calling data -> LoRA fine-tune -> GGUF -> served -> measured.
#
#   make               list the targets
#   make vars          show the settings a run would use, and where each comes from
#   make -n <target>   print the commands without running them
#
# Written for GNU make 3.81, which is what macOS ships: no .ONESHELL, no &:, no !=.

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:
.SUFFIXES:

# --------------------------------------------------------------- settings
# Who wins: command line > local.mk (yours, untracked) > platform file > below.
# Hyper-parameters are not here: they live in configs/sft.yaml, kto.yaml and sizes.yaml.
-include local.mk

# $(call one-of,NAME,CHOICES) stops when the setting is none of its choices.
one-of = $(if $(and $(filter 1,$(words $($1))),$(filter $2,$($1))),,$(error $1 is '$($1)'; choose one of: $2))

ifndef PLATFORM
PLATFORM := $(shell \
  if [ "$$(uname -sm)" = "Darwin arm64" ]; then echo mlx; \
  elif nvidia-smi -L >/dev/null 2>&1; then echo cuda; \
  else echo cpu; fi)
endif
$(call one-of,PLATFORM,cuda mlx cpu)
include configs/platforms/$(PLATFORM).mk

BACKEND         ?= llamacpp
FORMAT          ?= native
TOOLS_IN_PROMPT ?= none
PROMPTS         ?= full_coverage
QUANTS          ?= Q4_K_M Q5_K_M Q8_0
FLOOR           ?= $(if $(DATA),,12)
$(call one-of,SIZE,tiny 3b 7b 13b 20b)
$(call one-of,BACKEND,llamacpp ollama lmstudio vllm openai)
$(call one-of,FORMAT,native text)
$(call one-of,TOOLS_IN_PROMPT,none names full)
$(if $(METHOD),$(call one-of,METHOD,merged_16bit merged_4bit lora))

# What `make test-api` runs: all that touches trl, transformers, peft, datasets or the hub, but for the comparison with
# stock trl, whose 1.15 cannot train without Triton.
API_TESTS ?= tests/test_cuda_api.py tests/test_training.py tests/test_fast_torch.py tests/test_rendering.py tests/test_merge.py \
  tests/test_base_model.py tests/test_upload.py tests/test_resume.py tests/test_safe_torch.py

# $(call needed,NAME) stops when a setting that the target cannot do without is empty.
needed = $(or $($1),$(error $@ needs $1: make $@ $1=...))

# $(call quoted,TEXT) is one word of the shell; $(call flag,NAME,--option) the option with a setting's value as one.
quoted = '$(subst ','\'',$1)'
flag   = $(if $($1),$2 $(call quoted,$(patsubst ~/%,$(HOME)/%,$($1))))

# DATA names files for one command; without it each target has its own default.
ifneq ($(origin DATA),undefined)
$(if $(strip $(DATA)),,$(error DATA is empty; name a file: DATA=datasets/syngen_tools_sft.jsonl))
$(foreach file,$(DATA),$(if $(wildcard $(file)),,$(error DATA names '$(file)', which does not exist)))
endif
SOURCES  := $(filter-out %.proof.jsonl,$(wildcard datasets/*.jsonl))
SFT_DATA := $(or $(DATA),datasets/syngen_tools_sft.jsonl)
KTO_DATA := $(or $(DATA),datasets/syngen_tools_kto.jsonl)

# Without a PYTHON of your own, make keeps a virtual environment up to date:
# a light one for data, simulator and evaluator, and the platform's trainer on top.
PYTHON3 ?= python3
LIGHT   :=
READY   :=
MLX     :=
ifeq ($(origin PYTHON),undefined)
PYTHON  := .venv/bin/python
LIGHT   := .venv/.ready-base
READY   := .venv/.ready-$(PLATFORM)
MLX     := $(if $(filter Linux,$(shell uname -s)),.venv/.ready-mlx-linux)
READY   := $(if $(filter mlx,$(PLATFORM)),$(or $(MLX),$(READY)),$(READY))
endif
ifneq ($(filter-out 0 no false,$(FLASH_ATTN)),)
FLASH   := $(if $(filter cuda,$(PLATFORM)),.venv/.ready-flash-attn,$(error FLASH_ATTN is for PLATFORM=cuda; this is $(PLATFORM)))
endif

SHOWN := PLATFORM SIZE FORMAT TOOLS_IN_PROMPT DATA OUT OLD A B TEACHER TEACHER_URL COUNT FLOOR RUN QUANTS BACKEND MODEL PROMPTS TOOLS \
  REPO METHOD GGUF PRIVATE UPDATE FILE Q WITH VAULT EXECUTE SFT_ARGS KTO_ARGS PROBE_ARGS FIT_ARGS EVAL_ARGS COMPARE_ARGS LADDER_ARGS SERVE_ARGS ASK_ARGS \
  UPLOAD_ARGS INTERLEAVE_ARGS DEDUP_ARGS EXPORT_ARGS IMPORT_ARGS GENERATE_ARGS MUTATE_ARGS \
  DRY_RUN RESUME YES IMATRIX NPROC FSDP QUICK FLASH_ATTN TO OUTGROW_ARGS PYTHON PYTHON3 LOCK LLAMA_CPP LLAMA_CMAKE

# Read by the build and the search of llama.cpp.
export LLAMA_CMAKE LLAMA_CPP

# --------------------------------------------------------------- plumbing
# $(call on,NAME) is empty for an unset switch and for NAME=0.
on = $(filter-out 0 no false,$($1))

# One folder of stamps for each combination that gives another model.
STATE   := build/$(PLATFORM)-$(SIZE)-$(FORMAT)-$(TOOLS_IN_PROMPT)
SFT_RUN ?= $(shell cat $(STATE)/sft.run 2>/dev/null)
REPORTS := $(SOURCES:datasets/%.jsonl=build/validated/%.json)

MODEL_FLAGS = --platform $(PLATFORM) --size $(SIZE) --format $(FORMAT) --tools-in-prompt $(TOOLS_IN_PROMPT)
FLAGS_sft   = $(strip $(MODEL_FLAGS) $(SFT_ARGS) $(SFT_DATA))
FLAGS_kto   = $(strip $(MODEL_FLAGS) $(if $(SFT_RUN),--from-run $(SFT_RUN)) $(KTO_ARGS) $(KTO_DATA))
# Switches that change how a training is driven, not what comes out.
SWITCHES    = $(strip $(if $(NPROC),--nproc $(NPROC)) $(if $(call on,FSDP),--fsdp) \
  $(if $(call on,RESUME),--resume) $(if $(call on,YES),--yes))
DRY         = $(call on,DRY_RUN)
UPLOAD_FLAGS = $(strip $(call flag,REPO,--repo) $(if $(call on,PRIVATE),--private) $(if $(call on,UPDATE),--update) \
  $(if $(DRY),--dry-run))

.PHONY: FORCE
FORCE:

# A .flags file is rewritten only when its text changes, so whatever depends
# on it is rebuilt after `make sft SFT_ARGS=...` and left alone otherwise.
$(STATE)/%.flags: FORCE
	@mkdir -p $(@D)
	@echo '$(subst ','\'',$(FLAGS_$*))' | cmp -s - $@ || echo '$(subst ','\'',$(FLAGS_$*))' > $@

# One make at a time installs into .venv.
define HOLD_VENV
@mkdir -p .venv; mkdir .venv/.busy 2>/dev/null || { echo >&2 \
  "Another make is installing into .venv. Wait for it; if there is none: rmdir .venv/.busy"; exit 2; }; \
  trap 'rmdir .venv/.busy' EXIT; trap 'exit 130' INT TERM; set -ex;
endef
PIP_INSTALL := .venv/bin/python -m pip install --disable-pip-version-check

# The lock constrains the light install too, so the second step changes no version.
.venv/.ready-base: requirements-base.txt $(LOCK)
	@$(PYTHON3) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { echo >&2 \
	  "Python 3.11 or newer is needed; $(PYTHON3) is $$($(PYTHON3) --version 2>&1). Name another: PYTHON3=python3.12"; exit 2; }
	@$(PYTHON3) -c 'import ensurepip, venv' 2>/dev/null || { echo >&2 \
	  "$(PYTHON3) cannot make virtual environments. On Debian or Ubuntu: sudo apt install python3-venv"; exit 2; }
	$(HOLD_VENV) $(PYTHON3) -m venv .venv; $(PIP_INSTALL) -r requirements-base.txt -c $(LOCK); touch $@

.venv/.ready-$(PLATFORM): .venv/.ready-base $(LOCK)
	$(HOLD_VENV) rm -f .venv/.ready-*; $(PIP_INSTALL) -r $(LOCK); touch .venv/.ready-base; touch $@

# On Linux MLX runs on the processor: for PLATFORM=mlx there, and for its tests, which are skipped
# where no wheel fits (an old glibc).
.venv/.ready-mlx-linux: .venv/.ready-$(PLATFORM) requirements-mlx.txt
	$(HOLD_VENV) $(PIP_INSTALL) -r requirements-mlx.txt -c $(LOCK)$(if $(filter mlx,$(PLATFORM)),, || echo >&2 "No MLX for this machine; its tests are skipped."); touch $@

# Compiled against the PyTorch that is installed, so outside of pip's usual build environment.
.venv/.ready-flash-attn: requirements-flash-attn.txt $(READY)
	$(HOLD_VENV) $(PIP_INSTALL) wheel packaging ninja; $(PIP_INSTALL) --no-build-isolation -r requirements-flash-attn.txt; touch $@

# The CUDA lock's trainers over this environment's PyTorch, to test against both.
build/cuda-api/.ready: requirements-api.txt requirements-cuda.lock | $(READY)
	rm -rf $(@D)
	$(PYTHON) -m pip install --disable-pip-version-check -q --target $(@D) --no-deps -r requirements-api.txt -c requirements-cuda.lock
	touch $@

##@ Start here
.PHONY: help vars setup doctor demo
help: ## Show this list
	@awk -F ':.*## ' '/^##@ / { printf "\n%s\n", substr($$0, 5) } \
	  /^[a-z0-9-]+:.*## / { printf "  %-13s %s\n", $$1, $$2 }' Makefile
	@printf '\nPlatform: %s. Another: make PLATFORM=cpu <target>\n' '$(PLATFORM)'

vars: ## Show every setting, its value and where it comes from
	@$(foreach name,$(SHOWN),printf '%-15s %-42s (%s)\n' '$(name)' '$(subst ','\'',$($(name)))' '$(origin $(name))';)

setup: $(READY) $(FLASH) ## Create .venv with all this platform needs and prove that it trains; QUICK=1: no proof, FLASH_ATTN=1: for cuda
	$(if $(call on,QUICK),@echo "Installed. Prove it with: make setup",$(PYTHON) -m scripts.verify --platform $(PLATFORM))

doctor: $(LIGHT) ## Look for what a run needs, examine running servers (BACKEND=, MODEL=), and say what is wrong
	$(PYTHON) -m scripts.doctor --platform $(PLATFORM) --size $(SIZE) --backend $(BACKEND) $(call flag,MODEL,--model)

demo: $(READY) ## Whole pipeline: data, SFT, KTO, GGUF, evaluation, one table
	$(PYTHON) -m scripts.demo $(MODEL_FLAGS) --prompts $(PROMPTS) --quants "$(QUANTS)" --state $(STATE) \
	  --make $(MAKE_COMMAND) $(if $(call on,RESUME),--resume)

##@ Data
.PHONY: validate coverage mutate datasets generate recheck gates contamination plan interleave dedup export import drift inspect
ifdef DATA
validate: $(LIGHT) ## Check datasets/*.jsonl, or DATA=<files>, against the tool schemas
	$(PYTHON) -m scripts.validate $(DATA)
else
validate: $(REPORTS)
	@echo "Valid: $(SOURCES). Reports: build/validated/"
endif

coverage: $(LIGHT) ## Count examples and calls per tool; fail below FLOOR examples
	$(PYTHON) -m scripts.coverage $(or $(DATA),$(SOURCES)) $(if $(FLOOR),--floor $(FLOOR))

mutate: $(LIGHT) ## Plant every kind of fault in valid rows; count what validate catches
	$(PYTHON) -m scripts.mutate $(DATA) $(MUTATE_ARGS)

datasets: $(LIGHT) ## Write the shipped datasets again from datasets/scenarios/, and their card
	$(PYTHON) -m scripts.datasets
	$(PYTHON) -m scripts.cards

generate: $(LIGHT) ## Let TEACHER=<model> at TEACHER_URL=http://... write rows; the simulator judges them: COUNT=200, OUT=<file>
	$(PYTHON) -m scripts.generate --model $(call needed,TEACHER) $(if $(TEACHER_URL),--url $(TEACHER_URL)) \
	  $(if $(COUNT),--count $(COUNT)) $(if $(OUT),--out $(OUT)) $(GENERATE_ARGS)

plan: $(LIGHT) ## Say what the data lacks and what to write next, cheapest first
	$(PYTHON) -m scripts.plan

import: $(LIGHT) ## Read DATA=<file> of another format into OUT=<file>; rejects are listed
	$(PYTHON) -m scripts.import_rows $(call needed,DATA) --out $(call needed,OUT) $(IMPORT_ARGS)

drift: $(LIGHT) ## List the rows that today's schemas break: OLD=<tools.json>, OUT=<file> for mended rows
	$(PYTHON) -m scripts.drift --old $(call needed,OLD) $(if $(OUT),--out $(OUT)) $(or $(DATA),datasets/syngen_tools_sft.jsonl)

# No prerequisites: the shipped files are only made here when they are gone.
datasets/syngen_tools_sft.jsonl datasets/syngen_tools_kto.jsonl: | $(LIGHT)
	$(PYTHON) -m scripts.datasets

recheck: $(LIGHT) ## Run every call of the shipped datasets again and compare
	$(PYTHON) -m scripts.recheck

gates: $(LIGHT) ## Measure the shipped datasets against configs/gates.yaml; fail short of a target
	$(PYTHON) -m scripts.gates --page build/gates

contamination: $(LIGHT) ## Look for evaluation prompts in datasets/*.jsonl, or in DATA=<files>
	$(PYTHON) -m scripts.contamination $(or $(DATA),$(SOURCES)) --report build/contamination.json

interleave: $(LIGHT) ## Put DATA=<file> into KTO order: OUT=<file>, INTERLEAVE_ARGS=--force
	$(PYTHON) -m scripts.interleave $(KTO_DATA) --out $(or $(OUT),build/interleaved/$(notdir $(firstword $(KTO_DATA)))) $(INTERLEAVE_ARGS)

dedup: $(LIGHT) ## Leave out rows of DATA=<file> that repeat earlier ones: OUT=<file>, DEDUP_ARGS="--jaccard 0.8"
	$(PYTHON) -m scripts.dedup $(SFT_DATA) --out $(or $(OUT),build/different/$(notdir $(firstword $(SFT_DATA)))) $(DEDUP_ARGS)

export: $(LIGHT) ## Write DATA=<file> in the other form: FORMAT=native|text, OUT=<file>
	$(PYTHON) -m scripts.export $(SFT_DATA) --format $(FORMAT) --out $(or $(OUT),build/$(FORMAT)/$(notdir $(firstword $(SFT_DATA)))) $(EXPORT_ARGS)

inspect: $(READY) ## Show an example as tokens, and which of them are trained
	$(PYTHON) -m scripts.inspect $(MODEL_FLAGS) $(SFT_DATA)

# The report is the target: an unchanged file is not checked twice, and a new
# rule or schema checks every file again.
build/validated/%.json: datasets/%.jsonl configs/tools.json $(wildcard lib/*.py) | $(LIGHT)
	@mkdir -p $(@D)
	$(PYTHON) -m scripts.validate $< --report $@

##@ Train
# A .run file holds the path of the newest finished run of that method.
# Training depends on data, recipe and flags, never on code: fixing a comment
# must not cost GPU hours. Nothing below this section starts a training.
.PHONY: sft kto fit probe
fit: $(LIGHT) ## Will it fit? The memory of a training by part, from a config.json alone: SIZE=7b, MODEL=, FIT_ARGS=
	$(PYTHON) -m scripts.fit --size $(SIZE) $(call flag,MODEL,--model) $(FIT_ARGS)

probe: $(READY) ## Find the largest batch that fits here with real steps, and correct the forecast: PROBE_ARGS=
	$(PYTHON) -m scripts.probe --platform $(PLATFORM) --size $(SIZE) $(call flag,MODEL,--model) $(PROBE_ARGS)

sft: $(if $(DRY),dry-sft,$(STATE)/sft.run) ## Teach the tool calls (supervised): SIZE=7b, DRY_RUN=1, RESUME=1
	@$(if $(DRY),:,echo "SFT run: $$(cat $(STATE)/sft.run)")

kto: $(if $(DRY),dry-kto,$(STATE)/kto.run) ## Prefer good calls over bad, from the newest SFT run
	@$(if $(DRY),:,echo "KTO run: $$(cat $(STATE)/kto.run)")

.PHONY: dry-sft dry-kto
dry-sft dry-kto: dry-%: $(READY)
	$(PYTHON) -m scripts.$* $(FLAGS_$*) $(SWITCHES) --dry-run

$(STATE)/sft.run: $(SFT_DATA) configs/sft.yaml configs/sizes.yaml $(STATE)/sft.flags | $(READY) $(if $(DATA),,build/validated/syngen_tools_sft.json)
	$(PYTHON) -m scripts.sft $(FLAGS_sft) $(SWITCHES) --run-file $@

$(STATE)/kto.run: $(KTO_DATA) configs/kto.yaml configs/sizes.yaml $(STATE)/kto.flags | $(READY) $(if $(DATA),,build/validated/syngen_tools_kto.json)
	$(PYTHON) -m scripts.kto $(FLAGS_kto) $(SWITCHES) --run-file $@

.PHONY: outgrow
outgrow: $(READY) ## Write a training for another engine, TO=accelerate|axolotl|skypilot: OUTGROW_ARGS="--method kto --gpus 4"
	$(PYTHON) -m scripts.outgrow $(call needed,TO) $(MODEL_FLAGS) $(if $(OUT),--out $(OUT)) $(OUTGROW_ARGS) $(DATA)

##@ Ship and measure (RUN=runs/<name>; without it the newest finished run)
.PHONY: gguf serve ask eval report compare-runs compare rescore ladder bench-gguf lineage upload upload-data
gguf: $(READY) ## Merge a run; f16 and QUANTS, each proved, and served as trained; Modelfile, LM Studio's folder; IMATRIX=1
	$(PYTHON) -m scripts.gguf $(if $(RUN),--run $(RUN)) --quants "$(QUANTS)" $(if $(call on,IMATRIX),--imatrix)

serve: $(READY) ## Serve a run's GGUF, or MODEL=<file>.gguf, with llama-server
	$(PYTHON) -m scripts.serve $(call flag,MODEL,--model) $(if $(RUN),--run $(RUN)) $(SERVE_ARGS)

ask: $(READY) ## Ask a run one question, Q="...", and print the call; EXECUTE=1 runs it on VAULT=, WITH=gguf|merged|adapter
	$(PYTHON) -m scripts.ask $(call flag,MODEL,--model) $(if $(RUN),--run $(RUN)) $(if $(WITH),--with $(WITH)) \
	  $(if $(call on,EXECUTE),--execute) $(call flag,VAULT,--vault) $(ASK_ARGS) -- $(call quoted,$(call needed,Q))

eval: $(if $(filter llamacpp,$(BACKEND)),$(READY),$(LIGHT)) ## Score a model: BACKEND=llamacpp (own server), ollama, lmstudio, vllm, openai; PROMPTS, TOOLS=<file>
	$(PYTHON) -m evaluator --backend $(BACKEND) $(call flag,MODEL,--model) $(if $(RUN),--run $(RUN)) \
	  --prompts $(PROMPTS) --format $(FORMAT) $(if $(TOOLS),--tools $(TOOLS)) $(if $(call on,RESUME),--resume) $(EVAL_ARGS)

report: $(LIGHT) ## Draw a run's training curves, and write its evaluation's reports again: RUN="<run> <run>..." or OUT=<evaluation folder>
	$(PYTHON) -m scripts.report $(or $(OUT),$(RUN))

compare-runs: $(LIGHT) ## One table of trainings: losses, speed, memory, and which settings differ: RUN="<run> <run>..."
	$(PYTHON) -m scripts.compare_runs $(RUN)

compare: $(LIGHT) ## Pair two evaluations, A=<run> B=<run>: what changed, and is it more than noise? A page too
	$(PYTHON) -m evaluator.compare $(call needed,A) $(call needed,B) --page $(or $(OUT),build/eval/compare.html) $(COMPARE_ARGS)

rescore: $(LIGHT) ## Judge old answers again, without the model: RUN=<run> or OUT=<evaluation folder>
	$(PYTHON) -m evaluator.rescore $(or $(OUT),$(RUN))

ladder: $(READY) ## Base, SFT, KTO, Q8_0, Q5_K_M, Q4_K_M side by side; OUT=<file> for failures of held-back sets as KTO rows
	$(PYTHON) -m evaluator.ladder $(if $(RUN),--run $(RUN)) --prompts $(PROMPTS) \
	  $(if $(call on,RESUME),--resume) $(if $(OUT),--failures $(OUT)) $(LADDER_ARGS)

bench-gguf: $(READY) ## Size, load time and speed of a run's GGUF files, with pass rates: which quant to take, and why
	$(PYTHON) -m scripts.bench_gguf $(if $(RUN),--run $(RUN))

lineage: $(LIGHT) ## Print where FILE=<model file, run or dataset> comes from, every link checked
	$(PYTHON) -m scripts.lineage $(if $(call needed,FILE),$(call flag,FILE))

upload: $(READY) ## Publish a run: REPO=me/model METHOD=merged_16bit|merged_4bit|lora GGUF=1, PRIVATE=1, UPDATE=1, DRY_RUN=1
	$(PYTHON) -m scripts.upload $(UPLOAD_FLAGS) $(if $(RUN),--run $(RUN)) $(if $(METHOD),--method $(METHOD)) \
	  $(if $(call on,GGUF),--gguf) $(UPLOAD_ARGS)

upload-data: $(LIGHT) ## Publish the shipped datasets, or DATA=<files>: REPO=me/data, PRIVATE=1, UPDATE=1, DRY_RUN=1
	$(PYTHON) -m scripts.upload $(UPLOAD_FLAGS) --dataset $(DATA)

##@ Develop
.PHONY: test test-api lint lint-prompts format lock check-locks bench clean
test: $(READY) $(if $(filter cpu,$(PLATFORM)),$(MLX)) ## Run all tests (no GPU, no network)
	$(PYTHON) -m pytest -n 2 $(TEST_ARGS)

test-api: build/cuda-api/.ready ## Run the trainers' tests on the versions of trl, transformers, datasets and hub that CUDA has
	CUDA_API=1 PYTHONPATH=build/cuda-api $(PYTHON) -m pytest -n 2 $(API_TESTS)

lint: $(LIGHT) ## Check style, and that README names every target and file
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m scripts.readme --check

lint-prompts: $(LIGHT) ## Test the prompt sets, or PROMPTS=<files>: right answers must pass, wrong ones of every kind fail
	$(PYTHON) -m scripts.lint_prompts $(if $(filter-out file,$(origin PROMPTS)),--prompts $(PROMPTS))

format: $(LIGHT) ## Fix style, and README's table of targets and file map
	$(PYTHON) -m ruff check --fix .
	$(PYTHON) -m ruff format .
	$(PYTHON) -m scripts.readme

bench: $(READY) ## Measure speeds side by side with a plain version
	$(PYTHON) -m scripts.bench

# The CPU lock leaves out what only PyTorch's CUDA build needs, wherever torch came from.
UV_COMPILE := uv pip compile -q --no-header --no-annotate --no-emit-index-url --no-emit-find-links --python-version 3.11
lock: ## Write the lock files again (needs uv)
	{ echo '# Written by `make lock`. Linux x86-64, no GPU; Python 3.11 and newer.'; \
	  $(UV_COMPILE) requirements.txt --python-platform x86_64-unknown-linux-gnu; \
	} | sed -e 's/+cpu$$//' -e '/^nvidia-/d' -e '/^cuda-/d' -e '/^triton=/d' > requirements.lock
	{ echo '# Written by `make lock`. Linux x86-64, NVIDIA GPU; Python 3.11 and newer.'; \
	  $(UV_COMPILE) requirements-cuda.txt --python-platform x86_64-unknown-linux-gnu; } > requirements-cuda.lock
	{ echo '# Written by `make lock`. macOS 14 and newer, Apple Silicon; Python 3.11 and newer.'; \
	  MACOSX_DEPLOYMENT_TARGET=14.0 $(UV_COMPILE) requirements-mac.txt --python-platform aarch64-apple-darwin; } > requirements-mac.lock

# requirements:lock:platform; Windows has the CPU's and CUDA's locks, and what they need there besides.
RESOLVED := $(foreach lock,requirements.txt:requirements.lock requirements-cuda.txt:requirements-cuda.lock,\
  $(lock):x86_64-unknown-linux-gnu $(lock):x86_64-pc-windows-msvc) requirements-mac.txt:requirements-mac.lock:aarch64-apple-darwin
check-locks: ## See that every lock installs on its platforms from wheels alone, on Linux, macOS and Windows (needs uv)
	@for entry in $(RESOLVED); do IFS=:; set -- $$entry; unset IFS; \
	  MACOSX_DEPLOYMENT_TARGET=14.0 uv pip compile -q "$$1" -c "$$2" --only-binary :all: --python-version 3.11 \
	    --python-platform "$$3" -o /dev/null || exit 1; echo "$$2 resolves for $$3"; done

clean: ## Remove build/ (never runs/: those cost hours; nor build/teacher, a teacher's answers)
	@mkdir -p build
	find build -mindepth 1 -maxdepth 1 ! -name teacher -exec rm -rf {} +
	rmdir build 2>/dev/null || true
