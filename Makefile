# The targets of everyday work; `make help` is made from the comments behind `##`.
SHELL := /usr/bin/env bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS := -s -w -X main.version=$(VERSION)
MAINS   := $(patsubst %/main.go,./%,$(wildcard cmd/*/main.go services/*/cmd/*/main.go))
LINT    := bin/tools/golangci-lint
TESTENV := go run ./internal/testenv/cmd/testenv
E2E     := $(wildcard test/e2e/go.mod)
# Packages whose point is concurrency, and all that the agent and the services do.
RACE    := ./pkg/adapters/... ./pkg/identity/... ./pkg/platform/... ./services/...

.PHONY: help demo test test-demo quick test-collectors fuzz fuzz-briefly simulate simulate-briefly servers race e2e clients images publish test-images test-charts scan-charts test-charts-live test-charts-kind manifests clusters-test bench bench-fleet deps unit arch fmt vet lint lint-all tidy vulnerabilities drift verify build monitoring workflows release-dry-run clean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  \033[1m%-14s\033[0m %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: ## broker, three clusters, agents, a stack that travels, a rollout that turns back; until Ctrl-C (KUBECONFIGS=a,b,c: your own clusters)
	@./deploy/demo/demo.sh

test-demo: ## the demo from its beginning to its end, by itself
	@echo "== demo"
	@CI=true ./deploy/demo/demo.sh

test: deps quick tidy workflows test-charts scan-charts test-images test-collectors fuzz-briefly simulate-briefly servers race e2e clusters-test test-demo ## everything: quick checks, charts, seconds of fuzzing, then real Postgres, Redis and Kubernetes API servers, whole processes, the demo

quick: fmt vet arch unit ## checks and tests that need no server

unit: ## tests that need no server; those that do are skipped
	@echo "== unit tests"
	@env -u CI -u BROKKR_TEST_POSTGRES -u BROKKR_TEST_REDIS -u BROKKR_TEST_KUBECONFIGS go test ./...

FUZZTIME ?= 1m

fuzz: ## every fuzz target, each for FUZZTIME (1m, or 2000x for a number of inputs); what they find lies in testdata/fuzz and fails every test from then on
	@echo "== fuzz targets, $(FUZZTIME) each"
	@grep -rHoE --include='*_test.go' '^func Fuzz[A-Za-z0-9_]+' cmd deploy internal pkg services | sort | while IFS=: read -r file target; do \
		target=$${target#func }; echo "-- $$target in $$(dirname $$file)"; \
		go test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) "./$$(dirname $$file)" || exit 1; \
	done

# By number: at the end of a time the go command now and then fails with "context deadline exceeded" on a machine that is busy.
fuzz-briefly: ## every fuzz target, each for seconds
	@$(MAKE) fuzz FUZZTIME=2000x

SEEDS ?= 1000
FROM  ?= 1

# In a world one at a time runs, so that a second core only costs; and a world is small, so that garbage may lie for longer.
simulate: ## SEEDS simulated worlds of schedulers, gateways, agents and people from seed FROM on, and twenty times as many rollouts; those that fail are named, and how to run one again, which fails in the same way
	@echo "== $(SEEDS) worlds, from seed $(FROM)"
	@GOGC=400 SIMULATION_SEED=$(FROM) SIMULATION_RUNS=$(SEEDS) go test -count=1 -cpu 1 -timeout 48h -run 'TestSimulation$$' ./services/scheduler
	@ROLLOUT_SEED=$(FROM) ROLLOUT_RUNS=$$(($(SEEDS) * 20)) go test -count=1 -timeout 48h -run 'TestSimulation$$' ./pkg/domain/rollout

simulate-briefly: ## as many worlds as a minute admits
	@echo "== simulated worlds, for a minute"
	@GOGC=400 SIMULATION_FOR=1m go test -count=1 -cpu 1 -run 'TestSimulation$$' ./services/scheduler

servers: deps ## all tests with real servers around them
	@echo "== tests with PostgreSQL, Redis and two Kubernetes control planes"
	@$(TESTENV) --kube 2 -- env CI=true go test ./...

race: deps ## the same under the race detector, in shuffled order, where concurrency matters
	@echo "== race detector"
	@$(TESTENV) --kube 2 -- env CI=true CGO_ENABLED=1 go test -race -shuffle=on -count=1 $(RACE)

e2e: deps ## journeys across real processes
ifneq ($(E2E),)
	@echo "== end to end"
	@OTELCOL=$$(tools/build.sh otelcol) $(TESTENV) --kube 3 -- env CI=true go -C test/e2e test -count=1 -timeout 30m ./...
else
	@echo "== end to end: test/e2e has no tests in this checkout"
endif

clients: deps ## generate a Go, a Python and a TypeScript client of the OpenAPI file and publish with each (needs Node and Python 3)
	@test/clients/run.sh

images: ## images of all programs for amd64 and arm64: OCI layouts in dist/images, or pushed (REGISTRY=ghcr.io/you TAGS="v1.2.3 latest")
	@deploy/images.sh $(REGISTRY) $(TAGS)

publish: ## images and charts of one version, into a registry (REGISTRY=registry.example.com/brokkr VERSION=1.2.3)
	@deploy/publish.sh "$(REGISTRY)" "$(VERSION)"

test-images: ## build the images of all programs on a base made here, and look at size, user, labels, SBOM and whether they run
	@echo "== images"
	@deploy/test-images.sh

test-collectors: ## a real OpenTelemetry collector takes the examples of its configuration
	@echo "== collectors"
	@otelcol=$$(tools/build.sh otelcol); for file in collector logs; do "$$otelcol" validate --config=deploy/otel/$$file.yaml || exit 1; done; \
	"$$otelcol" validate --config=deploy/otel/collector.yaml $$(grep -o -- '--set=[^"]*' deploy/otel/compose-jaeger.yaml)

test-charts: ## the charts: lint, a matrix of values, golden renders, every value used; on a real API server dry runs, and releases from the former charts on (FROM=v1.2.2)
	@echo "== charts"
	@HELM=$$(tools/build.sh helm) $(TESTENV) --kube 1 --no-postgres --no-redis -- go test -count=1 ./charts

scan-charts: ## Trivy's checks on what the charts render and on the Dockerfile: what is high or critical fails, what is medium is told
	@echo "== checks of Trivy"
	@trivy=$$(tools/build.sh trivy) && "$$trivy" -accept charts/accepted.txt $${GITHUB_ACTIONS:+-github} charts/testdata deploy && \
		TRIVY=$$trivy go test -count=1 -run TestScan ./charts

test-charts-live: ## the charts where pods really run: KUBECONFIG=..., LOAD="kind load docker-image" (VARIANTS="all-in-one oci")
	@charts/test/live.sh $(VARIANTS)

test-charts-kind: ## the same on a cluster that kind makes with Docker for it (VARIANTS=... FROM=v1.2.2)
	@charts/test/kind.sh $(VARIANTS)

manifests: ## render deploy/manifests and the golden files from the charts
	@HELM=$$(tools/build.sh helm) go test ./charts -run "TestRenders|TestManifests" -update

clusters-test: deps ## the test control planes themselves
	@echo "== test control planes"
	@binary=$$(test/kubecluster/build.sh) && cd test/kubecluster && KUBECLUSTER=$$binary GOWORK=off CGO_ENABLED=0 go test -count=1 ./...

bench: ## benchmarks in one process (docs/benchmarks)
	@echo "== benchmarks"
	@go test -run '^$$' -bench . -cpu 1 ./pkg/adapters/cel ./services/scheduler/internal/cycle

ROWS  ?=
SCALE ?= 1
SEED  ?= 1
OUT   ?=

comma := ,

bench-fleet: deps ## processes, PostgreSQL and Redis under 1,000 and 10,000 simulated agents, a real agent on a real API server, into docs/benchmarks (ROWS=5,8 SCALE=0.1 SEED=7 OUT=folder)
	@mkdir -p bin
	@CGO_ENABLED=0 go build -trimpath -ldflags '$(LDFLAGS)' -o bin/ ./services/api/cmd/brokkr-api ./services/gateway/cmd/brokkr-gateway ./services/scheduler/cmd/brokkr-scheduler ./services/agent/cmd/brokkr-agent
	@CGO_ENABLED=0 go build -trimpath -ldflags '-s -w' -o bin/brokkr-fleetsim ./test/fleetsim
	@$(TESTENV) --durable $(if $(ROWS),$(if $(filter 16,$(subst $(comma), ,$(ROWS))),--kube 1),--kube 1) -- bin/brokkr-fleetsim bench --rows "$(ROWS)" --scale $(SCALE) --seed $(SEED) --out $(or $(OUT),$(if $(filter 1,$(SCALE)),docs/benchmarks,bin))

deps: ## install what tests and the demo need from the system (PostgreSQL, Redis, Prometheus, a C compiler, curl)
	@tools/install-deps.sh --tests

arch: ## who may import whom
	@echo "== imports"
	@go test -count=1 ./internal/arch

fmt: ## fail if a file is not gofmt'ed
	@echo "== gofmt"
	@bad=$$(git ls-files -co --exclude-standard '*.go' | while read -r file; do [ ! -f "$$file" ] || echo "$$file"; done | xargs gofmt -l); [ -z "$$bad" ] || { echo "not gofmt'ed (gofmt -w them):"; echo "$$bad"; exit 1; }

vet: ## go vet
	@echo "== go vet"
	@go vet ./...

# Built outside of the workspace: the linter's libraries must not raise those that ship.
$(LINT): tools/go.mod tools/go.sum
	@echo "building golangci-lint, a minute or two the first time" >&2
	@GOWORK=off go -C tools build -o ../$(LINT) github.com/golangci/golangci-lint/v2/cmd/golangci-lint
	@touch $(LINT)

lint: $(LINT) ## golangci-lint with the rules of .golangci.yml: what ships, and the journeys
	@echo "== golangci-lint"
	@$(LINT) run ./...
ifneq ($(E2E),)
	@cd test/e2e && ../../$(LINT) run ./...
endif

# Linters that judge a package by its own source and what it imports says of itself. The others read the source of all that is
# linked, which is Kubernetes, Trivy or a collector here: gigabytes of memory.
FRUGAL := depguard,errcheck,errorlint,forbidigo,gochecknoglobals,gochecknoinits,ineffassign,misspell,nolintlint,unconvert

lint-all: lint ## the same, and a part of the rules for the modules that do not ship: test clusters and tools (compiles what they link)
	@git ls-files -co --exclude-standard '*/go.mod' | while read -r file; do dir=$$(dirname "$$file"); \
		export GOWORK=off GOFLAGS=-trimpath CGO_ENABLED=0; \
		[ "$$dir" != test/e2e ] && [ -n "$$(go -C "$$dir" list ./... 2>/dev/null)" ] || continue; \
		case $$dir in tools/trivy) export GOEXPERIMENT=jsonv2 ;; *) unset GOEXPERIMENT ;; esac; \
		echo "-- $$dir"; (cd "$$dir" && "$(CURDIR)/$(LINT)" run --enable-only=$(FRUGAL) ./...) || exit 1; \
	done

tidy: ## fail if the go.mod or go.sum of one of the modules is not tidy
	@echo "== go mod tidy"
	@git ls-files -co --exclude-standard go.mod '*/go.mod' | while read -r file; do \
		GOWORK=off GOFLAGS= go -C "$$(dirname "$$file")" mod tidy -diff || { echo "not tidy (GOWORK=off go -C $$(dirname "$$file") mod tidy): $$file" >&2; exit 1; }; \
	done

vulnerabilities: ## what Go's database knows against what our programs call (GOVULNDB=file:///... asks a copy)
	@echo "== vulnerabilities"
	@tools/release/vulnerabilities.sh

drift: deps ## migrations go up, down, up; handlers and the OpenAPI file agree; manifests are what the charts render
	@echo "== manifests"
	@HELM=$$(tools/build.sh helm) go test -count=1 -run 'TestRenders|TestManifests|TestSharedTemplates' ./charts
	@echo "== migrations and OpenAPI"
	@$(TESTENV) --no-redis -- env CI=true go test -count=1 ./pkg/adapters/postgres/... ./services/api/... ./services/gateway/...

verify: fmt vet lint arch tidy workflows drift ## everything a reviewer should not have to look at

build: ## the programs, into bin/
	@mkdir -p bin
	@CGO_ENABLED=0 go build -trimpath -ldflags '$(LDFLAGS)' -o bin/ $(MAINS)
	@ls bin | grep '^brokkr' | sed 's,^,bin/,'

workflows: ## actionlint, and the tests of the release scripts
	@echo "== workflows and release scripts"
	@$$(tools/build.sh actionlint)
	@tools/release/release_test.sh

DRY := v0.0.0-dry.1

release-dry-run: workflows ## everything of a release that needs no outside service, into dist, and held to what a release has (BASE_IMAGE=...: the images on that, not on one made here)
	@rm -rf dist && mkdir -p dist
	@tools/release/notes.sh $(DRY) >dist/notes.md
	@tools/release/binaries.sh $(DRY) dist/binaries
	@charts/package.sh $(DRY) dist/charts
	@VERSION=$(DRY) deploy/test-images.sh
	@tools/release/check.sh $(DRY) dist
	@du -sh dist/binaries/* dist/charts/* dist/images/* dist/notes.md

monitoring: ## make dashboards and rules of deploy/ and docs/metrics.md anew from internal/monitoring
	@go run ./internal/monitoring/cmd/monitoring

clean: ## remove what was built in the checkout
	@rm -rf bin dist
