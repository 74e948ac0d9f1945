# On a fresh machine with python3 (3.11 or later), its venv module and make; what is needed is
# installed into .venv first:
#   make demo     train and evaluate on generated photos, and say where the pictures are
#   make test     the whole test suite
#   make soak     kill a training at 100 random moments, and resume it
#   make lint     check style and format
#   make format   mend style and format, as far as a program can
#   make clean    remove .venv and what demo and test left; your own runs stay
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

# The same classifier without a learned zoom, trained on as many crops: 32 photos a batch for 16 with
# two glimpses each.
WITHOUT_ZOOM := --model.head dense --train.glimpses 0 --train.batch-size 32
TRAIN_DEMO := $(BIN)/python train.py --config configs/demo.py

demo: .venv/installed
	@$(TRAIN_DEMO) --workdir runs/demo
	@echo && echo "the same network on the whole photo, shrunk, to compare:"
	@$(TRAIN_DEMO) --workdir runs/demo-without-zoom --model.transform identity $(WITHOUT_ZOOM)
	@echo && echo "and on a fixed crop of the centre:"
	@$(TRAIN_DEMO) --workdir runs/demo-centre --model.transform centre $(WITHOUT_ZOOM)
	@for run in demo-without-zoom demo-centre; do \
	  $(BIN)/python evaluate.py --workdir runs/$$run > runs/$$run/evaluation.txt || exit; done
	@echo
	@$(BIN)/python evaluate.py --workdir runs/demo --compare runs/demo-without-zoom runs/demo-centre
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

# Other runs may be days of training.
clean:
	rm -rf .venv artifacts runs/demo runs/demo-without-zoom runs/demo-centre
