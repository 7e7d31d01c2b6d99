.PHONY: demo test fast lint ruff types sql server bench clean

VENV := .venv
LOADER := $(VENV)/bin/loader

$(VENV)/.ready: pyproject.toml
	@sh deploy/venv.sh $(VENV)
	@touch $@

demo: $(VENV)/.ready  ## set up, import twelve weeks of statements, fit, and print what a trader can use
	@sh deploy/demo.sh $(LOADER)

test: $(VENV)/.ready  ## set up, lint, and run all tests
	$(MAKE) --no-print-directory --jobs 3 lint server
	$(VENV)/bin/pytest -n 2 --dist loadfile

fast: $(VENV)/.ready  ## the tests that need no server
	$(VENV)/bin/pytest tests/unit

lint: ruff types sql  ## ruff, mypy, sqlfluff

ruff: $(VENV)/.ready
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .

types: $(VENV)/.ready
	$(VENV)/bin/mypy

sql: $(VENV)/.ready
	$(VENV)/bin/sqlfluff lint --processes 2 --disable-progress-bar sql

# What the tests would start else, while the rest is linted.
server: $(VENV)/.ready
	@test -n "$$TEST_SERVER_URL" || $(LOADER) server status | grep -q "^state: running" \
		|| $(LOADER) server start --with neural

bench: $(VENV)/.ready  ## repeatable measurements; writes bench/README.md
	$(VENV)/bin/python -m bench

clean:
	-$(LOADER) --yes server stop --purge
	rm -rf $(VENV)
