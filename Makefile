.PHONY: demo test fast lint bench clean

VENV := .venv
LOADER := $(VENV)/bin/loader

$(VENV)/.ready: pyproject.toml
	@sh deploy/venv.sh $(VENV)
	@touch $@

demo: $(VENV)/.ready  ## set up, import twelve weeks of statements, fit, and print what a trader can use
	@sh deploy/demo.sh $(LOADER)

test: $(VENV)/.ready  ## set up, lint, and run all tests
	$(MAKE) --no-print-directory lint
	$(VENV)/bin/pytest -n 2 --dist loadfile

fast: $(VENV)/.ready  ## the tests that need no server
	$(VENV)/bin/pytest tests/unit

lint: $(VENV)/.ready  ## ruff, mypy, sqlfluff
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/sqlfluff lint --processes 2 --disable-progress-bar sql

bench: $(VENV)/.ready  ## repeatable measurements; writes bench/README.md
	$(VENV)/bin/python -m bench

clean:
	-$(LOADER) --yes server stop --purge
	rm -rf $(VENV)
