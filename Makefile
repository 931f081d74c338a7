# "make help" lists the targets. CI (.ci/run) calls them. Go is enough for build, test and demo;
# CONTRIBUTING.md lists what the other targets need.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
GOVULNCHECK := golang.org/x/vuln/cmd/govulncheck@v1.9.0

BINARY    := dist/portsyncd
# A number of inputs, or a time such as 5m. With a time, the go command sometimes ends a fuzz run
# with "context deadline exceeded" although no input failed.
FUZZTIME  ?= 100000x
BENCHTIME ?= 1s
PORTS     ?= 8
SEQUENCES ?= 2000
SEED      ?= 1
PREFIX    ?= /usr
# Architectures of the Debian packages.
ARCHITECTURES ?= amd64 arm64 armhf
# The daemon does not use cgo. -s -w omits the symbol table and DWARF, which only debuggers need;
# stack traces and profiles have names and lines without them.
GOBUILD   := CGO_ENABLED=0 go build -trimpath -ldflags '-s -w'
# Packages for mutation tests.
PACKAGES  ?= ./config/toml ./config ./internal/warmrestart/stats ./internal/warmrestart ./internal/sonicdb ./netlinkraw ./internal/snapshot ./metrics ./portsync
# Time limit for the tests of a package. The default of go test, ten minutes, is too short for
# slow machines.
TIMEOUT   ?= 20m
# An independent player of the recorded scenarios, which is not part of this repository.
REPLAY    ?= ../shared/tools/replay

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "%-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: build
build: ## build the daemon: dist/portsyncd
	$(GOBUILD) -o $(BINARY) .

.PHONY: demo
demo: ## run the daemon on a simulated switch until Ctrl-C; PORTS=8
	go run . demo --ports $(PORTS)

.PHONY: demo-once
demo-once: ## run only the start of the demo; fails if the final state is wrong
	go run . demo --once --ports $(PORTS)

.PHONY: test
test: ## run all tests that can run on this machine
	go test ./...

.PHONY: race
race: ## run the tests with the race detector (needs a C compiler)
	go test -race -timeout $(TIMEOUT) ./...

.PHONY: integration
integration: ## run the tests as root and fail if one is skipped
	PORTSYNCD_REQUIRE_INTEGRATION=1 go test -count=1 -timeout $(TIMEOUT) -json ./... | go run ./.ci/noskip .ci/skips

.PHONY: nobody
nobody: ## run tests and demo as nobody, offline, with only Go on the path
	.ci/as-nobody

.PHONY: replay
replay: build ## play the recorded scenarios on the built binary with an independent player
	@if [ -x $(REPLAY) ]; then \
		echo $(REPLAY) --bin $(BINARY); $(REPLAY) --bin $(CURDIR)/$(BINARY); \
	else \
		echo "replay: $(REPLAY) does not exist; TestScenarios plays the same files"; \
	fi

.PHONY: emulated
emulated: ## run the unit tests and scenarios for other processors (root, qemu-user-static)
	REPLAY=$(REPLAY) .ci/emulated

.PHONY: prometheus
prometheus: ## check a running daemon with Prometheus, promtool and Alertmanager
	PORTSYNCD_REQUIRE_INTEGRATION=1 go test -count=1 -v -run '^Test(Prometheus|Alertmanager)' ./integration/monitoring

.PHONY: conformance
conformance: ## check our code against the TOML suite, Prometheus' parsers and VictoriaMetrics
	cd bench && go vet ./... && go test ./...
	cd bench/rules && go vet ./... && go test ./...
	cd bench/victoria && go vet ./... && go test ./...

.PHONY: fuzz
fuzz: ## run each fuzz target for FUZZTIME=100000x inputs, or a time such as 5m
	FUZZTIME=$(FUZZTIME) .ci/fuzz

.PHONY: bench
bench: ## print a table of benchmarks, with those of comparable libraries; BENCHTIME=1s
	@{ go test -run '^$$' -bench . -benchmem -benchtime $(BENCHTIME) ./... && \
	   cd bench && go test -run '^$$' -bench . -benchmem -benchtime $(BENCHTIME) ./...; } | awk -f bench/table.awk

.PHONY: scale
scale: ## measure the daemon with many interfaces and a flood of changes (root, seven minutes)
	cd bench && go run ./scale

.PHONY: memory
memory: ## print the resident memory of the daemon by kind of mapping (root)
	cd bench && go run ./scale -only memory

.PHONY: size
size: ## print the packages that add most to the size of the binary
	@mkdir -p dist
	@CGO_ENABLED=0 go build -trimpath -o dist/portsyncd-symbols .
	@go tool nm -size dist/portsyncd-symbols | awk -f bench/size.awk
	@rm dist/portsyncd-symbols

.PHONY: compare
compare: ## compare with another portsyncd; REFERENCE=PATH (root, redis-server, two processors, six minutes)
	@[ -x "$(REFERENCE)" ] || { echo 'compare: set REFERENCE to the path of another portsyncd' >&2; exit 1; }
	reference=$$(realpath "$(REFERENCE)") && cd bench && go run ./scale -only compare -reference "$$reference"

.PHONY: model
model: ## compare daemon and model on random histories; SEQUENCES=2000 SEED=1 (root, 30 minutes)
	PORTSYNCD_REQUIRE_INTEGRATION=1 PORTSYNCD_MODEL_SEED=$(SEED) PORTSYNCD_MODEL_SEQUENCES=$(SEQUENCES) \
		go test -count=1 -timeout 0 -parallel 4 -v -run '^TestModel' ./integration/model ./internal/conventions | grep --line-buffered -v '=== \|--- PASS'

.PHONY: mutants
mutants: ## list changes of an operator that no test detects (hours); PACKAGES=./config/toml
	.ci/mutants $(PACKAGES)

.PHONY: model-mutants
model-mutants: ## list changes of the daemon that TestModel does not detect (root, an hour)
	go run ./.ci/modelmutants

.PHONY: soak
soak: ## measure an hour of changes, scrapes, reloads and Redis restarts: dist/soak.svg
	mkdir -p dist
	cd bench && go run ./scale -only soak -plot ../dist/soak.svg

.PHONY: cover
cover: ## write the coverage of the tests: dist/cover.html
	mkdir -p dist
	go test -timeout $(TIMEOUT) -coverprofile dist/cover.out -coverpkg ./... ./...
	go tool cover -html dist/cover.out -o dist/cover.html
	go tool cover -func dist/cover.out | tail -n 1

.PHONY: lint
lint: fmt vet staticcheck ## run gofmt, vet and staticcheck

.PHONY: fmt
fmt: ## fail if gofmt would change a file
	@out=$$(gofmt -l .); if [ -n "$$out" ]; then echo "not formatted:"; echo "$$out"; exit 1; fi

.PHONY: vet
vet: ## run go vet, also for 32 bits
	go vet ./... ./.ci/noskip ./.ci/modelmutants
	GOARCH=arm GOARM=7 CGO_ENABLED=0 go vet ./...

.PHONY: staticcheck
staticcheck: ## run staticcheck
	go run $(STATICCHECK) ./... ./.ci/noskip ./.ci/modelmutants
	cd bench && go run $(STATICCHECK) ./...
	cd bench/rules && go run $(STATICCHECK) ./...
	cd bench/victoria && go run $(STATICCHECK) ./...

.PHONY: vuln
vuln: ## list known vulnerabilities of the dependencies (needs the network)
	go run $(GOVULNCHECK) ./...

.PHONY: cross
cross: ## build for amd64, arm64 and armv7 without cgo: dist/portsyncd-linux-*
	GOOS=linux GOARCH=amd64 $(GOBUILD) -o $(BINARY)-linux-amd64 .
	GOOS=linux GOARCH=arm64 $(GOBUILD) -o $(BINARY)-linux-arm64 .
	GOOS=linux GOARCH=arm GOARM=7 $(GOBUILD) -o $(BINARY)-linux-armv7 .
	ls -l $(BINARY)-linux-*

.PHONY: man
man: ## build the manual pages: dist/man
	mkdir -p dist/man
	cp deploy/man/portsyncd.8 dist/man
	awk -f deploy/man/settings.awk portsyncd.conf.example | \
		sed -e '/^@SETTINGS@$$/{r /dev/stdin' -e 'd}' deploy/man/portsyncd.conf.5.in >dist/man/portsyncd.conf.5

.PHONY: install
install: build install-files ## install binary, unit, manual pages, example; DESTDIR=, PREFIX=/usr
	install -D -m 755 $(BINARY) $(DESTDIR)$(PREFIX)/bin/portsyncd

# Documents for operators.
DOCUMENTS := README_DEPLOYMENT.md $(patsubst %,docs/%.md,SETTINGS METRICS HEALTH STATUS TROUBLESHOOTING THREAT_MODEL PUSH)

# Rules for Prometheus and dashboards for Grafana, which run on other machines.
MONITORING := $(wildcard deploy/prometheus/*.* deploy/prometheus/*/*.yml deploy/grafana/*.json)

# Installed files other than the binary, as SOURCE:PATH below PREFIX.
FILES := \
	portsyncd.service:lib/systemd/system/portsyncd.service \
	dist/man/portsyncd.8:share/man/man8/portsyncd.8 \
	dist/man/portsyncd.conf.5:share/man/man5/portsyncd.conf.5 \
	deploy/completion/portsyncd:share/bash-completion/completions/portsyncd \
	portsyncd.conf.example:share/doc/portsyncd/examples/portsyncd.conf.example \
	$(foreach f,$(DOCUMENTS),$(f):share/doc/portsyncd/$(f)) \
	$(foreach f,$(MONITORING),$(f):share/doc/portsyncd/examples/$(f:deploy/%=%))

.PHONY: install-files
install-files: man
	for f in $(FILES); do install -D -m 644 "$${f%:*}" "$(DESTDIR)$(PREFIX)/$${f#*:}"; done

.PHONY: uninstall
uninstall: ## remove the installed files; configuration and state stay
	for f in $(FILES); do rm -f "$(DESTDIR)$(PREFIX)/$${f#*:}"; done
	rm -f $(DESTDIR)$(PREFIX)/bin/portsyncd

.PHONY: dist
dist: ## build the source archive with its modules: dist/portsyncd-VERSION.tar.gz
	deploy/dist

.PHONY: deb
deb: ## build Debian packages for three architectures from the archive (needs dpkg-deb)
	deploy/deb/build $(ARCHITECTURES)

.PHONY: check-deb
check-deb: deb ## check the packages, also in a container (root, lintian, mandoc, debootstrap)
	.ci/check-deb

.PHONY: check-guide
check-guide: deb ## run the commands of the operators' documents in a Debian (root, debootstrap)
	.ci/check-guide

.PHONY: dist-version deb-version
dist-version: # for scripts and the guide
	@sed -n 's/^var Release = "\(.*\)"/\1/p' internal/daemon/version.go
deb-version:
	@sed -n '1s/.*(\(.*\)).*/\1/p' deploy/deb/changelog

.PHONY: clean
clean: ## remove built files
	rm -rf dist

.PHONY: prerequisites
prerequisites: ## install the Debian packages that the targets need (root)
	.ci/prerequisites

.PHONY: ci
ci: ## run all of CI (Debian, root)
	.ci/run
