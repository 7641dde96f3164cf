# Targets are idempotent and install what they need; what they do is in tools/.

PYTHON_IN_VENV := .venv/bin/python
GUEST ?= ../shared/tools/guest
FRAMES ?= 1000000
BENCH ?= --floor
STORMS ?= 10000
SECONDS_EACH ?= 600
TORTURE ?= ../shared/tools/torture-run

.PHONY: help build run test test-slow test-sanitized test-guest demonstration torture gentest storms bench bench-guest lint fuzz fuzz-native clean

help:
	@sed -n 's/^## //p' Makefile

## build       make .venv with the server in it, native parts where the machine can
build:
	@tools/build.sh

## run         serve a demo folder on 127.0.0.1:4450 and say how to reach it
run: build
	@exec $(PYTHON_IN_VENV) tools/demo.py

## test        install the foreign clients and run the whole suite
test: build
	@tools/prepare-tests.sh test
	$(PYTHON_IN_VENV) -m pytest $(PYTEST_OPTIONS)

## test-slow   the tests that take minutes
test-slow: build
	@tools/prepare-tests.sh test
	$(PYTHON_IN_VENV) -m pytest -m slow $(PYTEST_OPTIONS)

## test-sanitized  the unit tests with native parts built for sanitizers (SANITIZERS=thread: for that of data races)
test-sanitized: build
	@tools/prepare-tests.sh test
	tools/test-sanitized.sh $(PYTEST_OPTIONS)

## test-guest  the Linux kernel's client in a virtual machine (GUEST= names the program that boots one)
test-guest: build
	@tools/prepare-tests.sh test
	GUEST=$(GUEST) tests/guest/run.sh mounts $(GUEST_OPTIONS)

## demonstration  two kernel clients and local programs, a cable pulled out, kill -9 (GUEST_KERNEL=6.1.0: which kernel)
demonstration: build
	@tools/prepare-tests.sh test
	GUEST=$(GUEST) GUEST_KERNEL=$(GUEST_KERNEL) tests/guest/run.sh demonstration $(GUEST_OPTIONS)

## torture     Samba's smbtorture against what has to pass (TORTURE= names the program that runs it)
torture: build
	@tools/prepare-tests.sh test
	$(PYTHON_IN_VENV) -m tests.torture.run $(TORTURE) $(UPDATE)

## gentest     twenty times 1,500 random operations on Samba and on this server, until an answer differs
gentest: build
	@tools/prepare-tests.sh test
	$(PYTHON_IN_VENV) -m tests.torture.gentest

## storms      ten thousand storms of simulated clients against the rules of sharing (STORMS= how many)
storms: build
	@tools/prepare-tests.sh test
	$(PYTHON_IN_VENV) -m tests.storms --seeds $(STORMS)

## bench       CPU time, throughput and latency against Samba (BENCH= are options of `smbd-uring bench compare`)
bench: build
	@tools/prepare-tests.sh test
	.venv/bin/smbd-uring bench compare $(BENCH)

## bench-guest fio against ksmbd and Samba in a virtual machine (GUEST= names the program that boots one)
bench-guest: build
	@tools/prepare-tests.sh test
	GUEST=$(GUEST) perf/guest/run.sh $(GUEST_OPTIONS)

## lint        style and types
lint: build
	@tools/prepare-tests.sh lint
	$(PYTHON_IN_VENV) -m ruff check .
	$(PYTHON_IN_VENV) -m mypy

## fuzz        random and mutated frames against a running server
fuzz: build
	@tools/prepare-tests.sh test
	FUZZ_FRAMES=$(FRAMES) $(PYTHON_IN_VENV) -m pytest -s tests/fuzz $(PYTEST_OPTIONS)

## fuzz-native libFuzzer over the native parts, sanitizers included (SECONDS_EACH= for each of its two targets)
fuzz-native: build
	@tools/prepare-tests.sh fuzz
	tools/fuzz-native.sh $(SECONDS_EACH)

## clean       remove what the other targets made
clean:
	rm -rf .venv .demo build *.egg-info smbd_uring/_native/*.c smbd_uring/_native/*.so perf/_*.c perf/*.so
