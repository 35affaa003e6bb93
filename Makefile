# The front door. Every target installs what it needs first (deps/install is idempotent) and needs no
# person, key or other machine. CMake presets do the building: release, debug, asan, tsan.

SHELL := /bin/bash
PREFIX ?= /usr/local
DATA ?= ./data
LISTEN ?= 127.0.0.1:3100

.PHONY: run build test test-long test-bare bench lint format install clean help
.DEFAULT_GOAL := help

build: ## Build the program: build/lakehouse
	@deps/install
	@cmake --preset release --log-level=WARNING >/dev/null
	@cmake --build --preset release

run: build ## Build, load the sample, print a tour, keep serving until Ctrl-C
	@exec build/lakehouse demo --data "$(DATA)" --listen "$(LISTEN)"

test: ## Install, build and run the whole suite (under 20 minutes on 2 cores)
	@deps/install --test
	@tests/run

test-long: ## The long runs: ThreadSanitizer, more kills, more races; cumulative
	@deps/install --test
	@tests/run --long

test-bare: ## Prove `make run` and `make test` in bare Debian 12 roots (needs root)
	@tests/bare/run

bench: ## Measure every claim beside its opponent
	@deps/install --bench
	@bench/run

lint: ## clang-format (check only), clang-tidy, cppcheck and the tidy test
	@deps/install --test
	@tests/lint

format: ## Rewrite the sources as .clang-format wants them
	@deps/install --test
	@git ls-files '*.c' '*.h' '*.cpp' | xargs clang-format -i

install: build ## Install below PREFIX (default /usr/local)
	@cmake --install build --prefix "$(PREFIX)" >/dev/null
	@echo "Installed $(PREFIX)/bin/lakehouse"

clean: ## Remove what was built; fetched dependencies and ./data stay
	@rm -rf build

help: ## Show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1|\2/' | column -t -s '|'
