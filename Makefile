# The environment is made in .venv by the first target that needs it.
VENV := .venv
PYTHON := $(VENV)/bin/python
READY := $(VENV)/.ready
# TensorFlow's wheels exist for these; the newest that runs is taken.
PYTHONS := python3.13 python3.12 python3.11 python3.10 python3.9 python3.8 python3
USABLE := import sys, venv, ensurepip; sys.exit(not (3, 8) <= sys.version_info[:2] <= (3, 13))
DEMO := demo
# The core alone; `test` has an environment with everything.
DEMO_VENV := .venv-demo
NIFCODEC := $(DEMO_VENV)/bin/nifcodec
EVERYTHING := -e '.[train,hdr,watch,bench,cluster,cloud,dev]'
NATIVE := $(wildcard nifcodec/native/*.c nifcodec/native/*.h)
FUZZ := .fuzz
FUZZ_SECONDS := 600
CLANG := clang
NATIVE_FUZZ_FLAGS := -std=gnu99 -g -O2 -ffp-contract=off -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all
# With the wheels of Graphcore's SDK, and after its `enable` script: see docs/ipu.md.
IPU_PYTHON := python3
IPU_CACHE := .ipu-cache

.PHONY: help demo test lint check fuzz fuzz-native wheels ipu-check clean

help:
	@echo "make demo   fit a field to sample_images/coffee.png, decode it at twice the size, measure it"
	@echo "make test   run the tests"
	@echo "make lint   run ruff, mypy and import-linter"
	@echo "make check  lint and test"
	@echo "make fuzz   fuzz the readers for FUZZ_SECONDS=$(FUZZ_SECONDS) (Linux, Python 3.11 or newer)"
	@echo "make fuzz-native  fuzz the native library under ASan and UBSan for FUZZ_SECONDS (needs clang)"
	@echo "make wheels  make the wheels of all platforms in dist, and check them (Linux)"
	@echo "make ipu-check  with Graphcore's SDK, train on its model of an IPU and compile for a chip (docs/ipu.md)"
	@echo "make clean  remove $(VENV), $(DEMO_VENV), $(DEMO), $(FUZZ), $(IPU_CACHE) and dist"

# $(1): folder of the environment; $(2): what is installed in it.
define environment
	@base=""; for python in $(PYTHONS); do \
		if $$python -c '$(USABLE)' >/dev/null 2>&1; then base=$$python; break; fi; \
	done; \
	if [ -z "$$base" ]; then \
		echo "no Python 3.8 to 3.13 with venv was found: install one (Debian: apt install python3-venv)" >&2; exit 1; \
	fi; \
	echo "making $(1) with $$($$base --version)"; \
	$$base -m venv $(1)
	@$(1)/bin/python -m pip install --quiet --upgrade pip
	@$(1)/bin/python -m pip install --quiet $(2)
	@touch $@
endef

$(READY): pyproject.toml setup.py $(NATIVE)
	$(call environment,$(VENV),$(EVERYTHING))

$(DEMO_VENV)/.ready: pyproject.toml setup.py $(NATIVE)
	$(call environment,$(DEMO_VENV),.)

demo: $(DEMO_VENV)/.ready
	@mkdir -p $(DEMO)
	$(NIFCODEC) encode sample_images/coffee.png -o $(DEMO)/coffee.nif --bpp 0.5 -f
	$(NIFCODEC) info $(DEMO)/coffee.nif
	$(NIFCODEC) decode $(DEMO)/coffee.nif -o $(DEMO)/coffee-2x.png --scale 2 -f
	$(NIFCODEC) verify $(DEMO)/coffee.nif --against sample_images/coffee.png

test: $(READY)
	$(PYTHON) -m pytest

lint: $(READY)
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m mypy
	$(VENV)/bin/lint-imports

check: lint test

# Tracing takes memory of its own, without limit.
fuzz: $(READY)
	$(PYTHON) -m pip install --quiet -e '.[fuzz]'
	$(PYTHON) -m tests.fuzz $(FUZZ) -artifact_prefix=$(FUZZ)/finding- -max_total_time=$(FUZZ_SECONDS) \
		-max_len=4096 -timeout=20 -rss_limit_mb=4096

fuzz-native: $(READY)
	@command -v $(CLANG) >/dev/null || { echo "no $(CLANG) was found: install it (Debian: apt install clang)" >&2; exit 1; }
	@mkdir -p $(FUZZ)/native/found
	PYTHONPATH=. $(PYTHON) tests/native_vectors.py $(FUZZ)/native
	$(CLANG) $(NATIVE_FUZZ_FLAGS) tests/native_fuzz.c nifcodec/native/*.c -o $(FUZZ)/native/fuzz
	NIF_MODEL=$(FUZZ)/native/model $(FUZZ)/native/fuzz $(FUZZ)/native/found $(FUZZ)/native/inputs \
		-artifact_prefix=$(FUZZ)/native/finding- -max_total_time=$(FUZZ_SECONDS) -max_len=8192 -timeout=20 \
		-rss_limit_mb=2048

wheels: $(READY)
	$(PYTHON) -m pip install --quiet -e '.[wheels]'
	$(PYTHON) .ci/wheels.py

ipu-check:
	TF_POPLAR_FLAGS="--use_ipu_model --ipu_model_tiles=16 --max_compilation_threads=1" \
		$(IPU_PYTHON) -m tests.ipu_check model
	@mkdir -p $(IPU_CACHE)
	TF_POPLAR_FLAGS="--executable_cache_path=$(IPU_CACHE) --max_compilation_threads=1" \
		$(IPU_PYTHON) -m tests.ipu_check compile --cache $(IPU_CACHE)

clean:
	rm -rf $(VENV) $(DEMO_VENV) $(DEMO) $(FUZZ) $(IPU_CACHE) dist
