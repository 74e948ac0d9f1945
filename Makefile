# Two commands on a fresh machine with python3 (3.11 or later), its venv module and make:
#   make demo   train and evaluate on generated photos, and say where the pictures are
#   make test   the whole test suite
PYTHON ?= python3
BIN := .venv/bin

.PHONY: help demo test soak lint format clean

help:
	@sed -n 's/^#   //p' Makefile

# Each stamp is made once and again when its requirements change.
.venv/installed: requirements.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "error: stn_jax needs Python 3.11 or later; name one: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 2; }
	@echo "installing into .venv (about a minute, once) ..."
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --requirement requirements.txt
	@touch $@

.venv/installed-dev: .venv/installed requirements-dev.txt
	@echo "installing what the tests need ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --requirement requirements-dev.txt
	@touch $@

# The same network twice: with the zoom, and on the whole photo shrunk to the crop's size.
WITHOUT_ZOOM := --model.transform identity --model.head dense --train.zoom-schedule.steps 0

demo: .venv/installed
	@$(BIN)/python train.py --config configs/demo.py --workdir runs/demo
	@echo && echo "and without the zoom, to compare:"
	@$(BIN)/python train.py --config configs/demo.py --workdir runs/demo-without-zoom $(WITHOUT_ZOOM)
	@$(BIN)/python evaluate.py --workdir runs/demo-without-zoom > runs/demo-without-zoom/evaluation.txt
	@echo
	@$(BIN)/python evaluate.py --workdir runs/demo --compare runs/demo-without-zoom
	@echo "the zoom while it learned: runs/demo/figures/filmstrip.png"

test: .venv/installed-dev
	@$(BIN)/python -m pytest -n logical --dist loadfile

# 100 kills at random moments in place of the suite's 20.
soak: .venv/installed-dev
	@STN_JAX_KILLS=100 $(BIN)/python -m pytest tests/training/test_kills.py

lint: .venv/installed-dev
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

format: .venv/installed-dev
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

clean:
	rm -rf .venv runs artifacts
