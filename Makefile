# Everything needs Python 3.11 or newer, git, make and a shell; the rest is installed into .venv.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
DEMO_PORT ?= 8000
DEMO := docs/tutorial

# A module that is compiled once is not compiled again by each of a thousand processes.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test coverage torture check format bench docs pages samples clean

$(VENV)/.demo: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[analyst,demo]'
	@touch $@

$(VENV)/.dev: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	@# By uv in a fifth of pip's time, by pip where uv finds no package index.
	$(BIN)/pip install --quiet --disable-pip-version-check uv
	VIRTUAL_ENV=$(abspath $(VENV)) $(BIN)/uv pip install --quiet --compile-bytecode \
		--editable '.[dev,docs]' || \
		$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[dev,docs]'
	@touch $@ $(VENV)/.demo

demo: $(VENV)/.demo
	@cd $(DEMO) && SQL_LOG=INFO $(abspath $(BIN))/python manage.py migrate --verbosity 0
	@cd $(DEMO) && SQL_LOG=INFO $(abspath $(BIN))/python manage.py seed_demo
	@echo
	@echo "  turnlog's demo:  http://127.0.0.1:$(DEMO_PORT)/"
	@echo "  log in as demo / demo to chat, as admin / admin to review, too"
	@echo "  stop it with Ctrl+C; what was said is still there the next time"
	@echo
	@cd $(DEMO) && export SQL_LOG=$${SQL_LOG:-INFO} && \
		{ $(abspath $(BIN))/python manage.py run_projections >/dev/null & trap "kill $$! 2>/dev/null" EXIT; \
		$(abspath $(BIN))/python -m uvicorn \
		mysite.asgi:application --host 127.0.0.1 --port $(DEMO_PORT) \
		--timeout-graceful-shutdown 5 --log-level warning; }

test: $(VENV)/.dev
	$(BIN)/python -m tests.run $(ARGS)

# The same, with branch coverage of the run on SQLite; fails below pyproject.toml's `fail_under`.
coverage: $(VENV)/.dev
	$(BIN)/python -m tests.run --coverage $(ARGS)

# Writers killed at random moments, 250 on each database: some minutes, and a summary.
torture: $(VENV)/.dev
	$(BIN)/python -m tests.torture $(ARGS)

check: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python -m tests.typed
	$(BIN)/python -m pytest -q tests/test_floors.py

format: $(VENV)/.dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/.dev
	$(BIN)/python -m tests.benchmarks.run

docs: $(VENV)/.dev
	$(BIN)/sphinx-build -W -q docs docs/_build

# Writes into the pages what they quote: docstrings, and files of docs/examples and docs/sql.
pages: $(VENV)/.dev
	$(BIN)/python -m tests.docs.write

# Stored events of every schema, for ever: writes what is missing, never over what is there.
samples: $(VENV)/.dev
	$(BIN)/python -m tests.events.samples

clean:
	rm -rf $(VENV) build dist docs/_build .cache .nox .coverage*
