# Two commands do all the set-up on a fresh machine: `make quickstart` and `make test`.
# Another Python, or an environment of your own: make test PYTHON=python3.12 VENV=.venv-312
# Another build of torch: create VENV, install torch into it first, then run any target.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
RUNS ?= runs
ARGS ?=

.PHONY: help install quickstart frontier test prove prove-engines check format gpu-check wheels clean

help:
	@echo "make quickstart  install, then watch a student get better by its own verified work (CPU, offline, minutes)"
	@echo "make test        install, then the tests a developer waits for (about 5 minutes on two cores)"
	@echo "make prove       the whole proof: kill matrix, attacks on the sandbox, two ranks, a real server (half an hour)"
	@echo "make prove-engines  whole matrices of engines, by hand: the results are committed under benchmarks/results"
	@echo "make check       ruff and mypy"
	@echo "make frontier    the longer run of the quick start's tasks (half an hour on two cores)"
	@echo "make gpu-check   one round of the quick start and one 7B-class LoRA round on a GPU, no network"

$(VENV)/.installed: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet -e .
	touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet -e '.[dev]'
	touch $@

install: $(VENV)/.installed-dev

# The same tasks, samples and steps twice: verified and accumulated, and the control arm without a verifier.
quickstart: $(VENV)/.installed
	$(BIN)/selfplay run configs/quickstart.yaml --runs-dir $(RUNS) $(ARGS)
	$(BIN)/selfplay run configs/quickstart.yaml --runs-dir $(RUNS) --name quickstart-unverified \
		curate.verified_only=false curate.regime=replace gate.action=observe rounds=4 $(ARGS)
	$(BIN)/selfplay compare $(RUNS)/quickstart $(RUNS)/quickstart-unverified --out $(RUNS)/compare.html
	@echo "report: $(RUNS)/quickstart/report.html"

frontier: $(VENV)/.installed
	$(BIN)/selfplay run configs/frontier.yaml --runs-dir $(RUNS) $(ARGS)

test: $(VENV)/.installed-dev
	$(BIN)/python -m pytest -m "not prove" -n 2 --dist loadfile $(ARGS)

# Attacks run one program at a time, so two of their tests share the cores as other tests do. The last part needs all cores to itself.
PROVE_PARTS = "-n 2 --dist loadfile --ignore=tests/sandbox" \
	"-n 2 --dist load --ignore=tests/sandbox/test_sandbox_data.py tests/sandbox" \
	"tests/sandbox/test_sandbox_data.py"

prove: $(VENV)/.installed-dev
	@$(BIN)/python -m pip install --quiet -e '.[tasks]' || echo "reasoning-gym cannot be installed here: its tests are skipped"
	@for part in $(PROVE_PARTS); do \
		$(BIN)/python -m pytest -m "prove and not engines" --durations 15 --durations-min 10 $$part $(ARGS) || [ $$? -eq 5 ] || exit 1; \
	done

prove-engines: $(VENV)/.installed-dev
	$(BIN)/python -m pytest -m engines $(ARGS) || [ $$? -eq 5 ]

check: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/.installed-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# On a connected machine: `make wheels`, then carry the folder along. On the GPU machine: no network, its own python3.
wheels:
	$(PYTHON) -m pip download --quiet --dest wheels --no-deps trl peft accelerate datasets wandb httpx2 typer

gpu-check:
	$(PYTHON) benchmarks/gpu_check.py --wheels wheels $(ARGS)

clean:
	rm -rf build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
