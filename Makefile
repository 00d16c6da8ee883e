# Everything of weft in one word each; CMakePresets.json says how it is built.
.PHONY: all build packages demo test bench fuzz format lint install clean

JOBS ?= $(shell nproc)
DESTDIR ?=
PREFIX ?= /usr

all: build

packages:
	packaging/packages --install

# $(call compile,PRESET)
compile = cmake --preset $(1) >/dev/null && cmake --build --preset $(1) -j $(JOBS)

build: packages
	@$(call compile,release)

## A rack of namespaces on this machine: two weft hosts, a FRR and a BIRD ToR. KEEP=1 leaves it up.
demo: build
	KEEP=$(KEEP) topologies/rack/demo

## Every test: all of them as released, the unit tests again under ASan+UBSan and under TSan.
test: packages
	packaging/test $(JOBS)

## Beside BIRD and a bare netlink writer, in one run.
bench: build
	bench/run

## FUZZ_SECONDS for each target.
FUZZ_SECONDS ?= 60
fuzz: packages
	@$(call compile,fuzz)
	tests/fuzz/run $(FUZZ_SECONDS)

format:
	git ls-files '*.h' '*.cc' | xargs clang-format-14 -i

lint: packages
	git ls-files '*.h' '*.cc' | xargs clang-format-14 --dry-run -Werror
	shellcheck $$(git ls-files | xargs grep -lE '^#!/bin/(ba)?sh')
	@$(call compile,lint) -- -k 0

install: build
	DESTDIR=$(DESTDIR) cmake --install build/release --prefix $(PREFIX)

clean:
	rm -rf build
