# The commands of this repository. "make" alone lists them.
#
# Each environment step leaves a stamp inside .venv that depends on its lock file, so a second run
# starts at once and a changed lock installs again.

HOST ?= 127.0.0.1
PORT ?= 8080
ARGS ?=
# Where "make privacy-proof" writes what was tried and seen.
PROOF ?= build/privacy-proof.md
# A Python 3.11 or 3.12; empty: the first that fits of python3.11, python3.12, python3.
PYTHON ?=

VENV := .venv
BIN := $(VENV)/bin
# --no-deps: the lock is complete for what we use and leaves out what mediapipe declares in vain
# (see [tool.uv] in pyproject.toml). Every file is checked against its hash, and only wheels are
# taken, so installing runs nobody's code.
PIP_INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps
LOCKED := $(PIP_INSTALL) --require-hashes --only-binary :all:
UV_COMPILE := uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--only-binary :all: --no-emit-index-url --no-header

PROOFS := tests/privacy tests/architecture/test_facial_data_fences.py \
	tests/unit/mediasrv/processing/test_sandbox.py \
	tests/unit/mediasrv/processing/test_syscall_filter.py \
	tests/unit/mediasrv/processing/test_channel.py tests/scenarios/test_locked_worker.py \
	tests/unit/mediasrv/test_no_raw_picture.py \
	tests/scenarios/test_beauty_worker_failures.py::test_however_often_the_worker_is_killed_nothing_unfiltered_gets_out \
	tests/scenarios/test_beauty_worker_failures.py::test_a_stream_that_fails_open_is_caught

# Tests share the machine's cores, but for those where browsers send and show video.
BESIDE_EACH_OTHER := -n logical --maxprocesses 4

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help serve test coverage privacy-proof check format lock clean

help: ## list these commands
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/make \1\t\2/p' $(MAKEFILE_LIST)

serve: $(VENV)/run.stamp ## start the server (HOST=, PORT=, ARGS=)
	@exec $(BIN)/mediasrv serve --host $(HOST) --port $(PORT) $(ARGS)

test: $(VENV)/dev.stamp ## run all tests, browsers included (ARGS="-k name")
	@scripts/install-browsers
	@scripts/install-strace
ifeq ($(strip $(ARGS)),)
	$(BIN)/python -m pytest $(BESIDE_EACH_OTHER) -m "not browser"
	$(BIN)/python -m pytest $(BESIDE_EACH_OTHER) -m browser --ignore tests/interop
	$(BIN)/python -m pytest -m browser tests/interop
else
	$(BIN)/python -m pytest $(ARGS)
endif

# The relay is what everything else stands on: its own unit tests see each of its lines.
coverage: $(VENV)/dev.stamp ## show that the relay's tests reach all of its lines
	@mkdir -p build
	$(BIN)/python -m coverage run -m pytest tests/unit/mediasrv/relay
	$(BIN)/python -m coverage report

# The same checks run in "make test", in a short form.
privacy-proof: $(VENV)/dev.stamp ## show that facial data stays in its worker (PROOF=report.md)
	@scripts/install-strace
	MEDIASRV_PRIVACY_REPORT=$(PROOF) MEDIASRV_PRIVACY_SECONDS=60 \
		$(BIN)/python -m pytest -p tests.privacy.report $(PROOFS)
	@echo "The report is in $(PROOF)."

check: $(VENV)/dev.stamp ## format, lint, types, import contracts
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/dev.stamp ## format the sources and mend what lint can mend
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# Needs uv (https://docs.astral.sh/uv/) on the PATH, or UV_COMPILE's first word replaced. Add
# ARGS=--upgrade to move every version forward, ARGS="--upgrade-package NAME" for one.
lock: ## resolve requirements/*.txt anew from pyproject.toml (ARGS=--upgrade)
	$(UV_COMPILE) $(ARGS) --group build pyproject.toml -o requirements/run.txt
	$(UV_COMPILE) $(ARGS) --group build --group dev pyproject.toml \
		-c requirements/run.txt -o requirements/dev.txt

clean: ## remove the environment and everything generated
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis \
		.import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/pyvenv.cfg:
	@scripts/make-venv $(VENV) $(PYTHON)

$(VENV)/run.stamp: requirements/run.txt pyproject.toml | $(VENV)/pyvenv.cfg
	@echo "Installing what the server needs (the first time takes a minute) ..."
	@$(LOCKED) -r requirements/run.txt
	@$(PIP_INSTALL) --no-build-isolation --editable .
	@touch $@

# dev.txt holds all of run.txt, so this fulfils both.
$(VENV)/dev.stamp: requirements/dev.txt pyproject.toml | $(VENV)/pyvenv.cfg
	@echo "Installing what development needs (the first time takes a minute) ..."
	@$(LOCKED) -r requirements/dev.txt
	@$(PIP_INSTALL) --no-build-isolation --editable .
	@touch $(VENV)/run.stamp $@
