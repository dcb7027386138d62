# Pregón: build, run, test and install.  `make help` lists the targets.
#
#   make run                 install what is missing, build, start everything
#   make test                install what is missing, build, run every test
#   make SAN=address,undefined test     the same under sanitizers (also: thread)
#   make V=1                 show the commands
#
# Each variant has a folder of its own under build/, so objects never mix.

SHELL   := /bin/sh
CC      ?= gcc
OBJCOPY ?= objcopy
PREFIX  ?= /usr/local
DESTDIR ?=
SYSCONFDIR ?= /etc
UNITDIR ?= $(SYSCONFDIR)/systemd/system
SAN     ?=
V       ?=
PYTHON  ?= /usr/bin/python3

# The doctor first, because its library uses the libraries of the other programs.
PROGRAMS := doctor broker gateway feeder tail telegram
DIR_tail := consumer/tail
DIR_telegram := consumer/telegram
# The doctor uses the settings and rules of the other programs.
USES_doctor := gateway broker feeder tail telegram
LIBS_telegram := -lcurl
LIBS_doctor := -lcurl -lm
comma    := ,
VARIANT  := $(or $(subst $(comma),-,$(SAN)),release)
B        ?= build/$(VARIANT)
Q        := $(if $(V),,@)
export B

PKGS     := libzmq msgpack libwslay yajl sqlite3 zlib
LDLIBS   += -lzmq -lwslay -lyajl -lsqlite3 -lz -lpthread
CPPFLAGS += -I. -D_GNU_SOURCE $(CROSS_FLAGS)
WARN     := -Wall -Wextra -Wshadow -Wconversion -Wformat=2 -Wundef -Wvla \
            -Wstrict-prototypes -Wmissing-prototypes -Wwrite-strings \
            -Wimplicit-fallthrough -Werror
# clang does not read the fall-through comments in uthash's macros; gcc checks them.
ifneq ($(findstring clang,$(shell $(CC) --version 2>/dev/null)),)
  WARN += -Wno-implicit-fallthrough
endif
HARDEN   := -D_FORTIFY_SOURCE=2 -fstack-protector-strong
# Hidden and independent of their position: the same objects go into programs and libpregon.so.
COMMON   := -std=gnu17 $(WARN) -fPIC -fvisibility=hidden
CFLAGS   ?= -O2 -g
ifeq ($(SAN),)
  ALL_CFLAGS = $(COMMON) $(HARDEN) $(CFLAGS)
  LDFLAGS   += -pie -Wl,-z,relro,-z,now
else
  ALL_CFLAGS = $(COMMON) -O1 -g -fno-omit-frame-pointer \
               -fsanitize=$(SAN) -fno-sanitize-recover=all
  LDFLAGS   += -fsanitize=$(SAN)
endif

ifeq ($(SAN),thread)
  export TSAN_OPTIONS := suppressions=$(CURDIR)/tests/tsan.supp report_thread_leaks=0
endif

# A program is in the folder of its name, or in DIR_name; a program under consumer/ is built on
# libpregon. LIBS_name: libraries for this program only; USES_name: programs whose code it uses.
DIR         = $(or $(DIR_$(1)),$(1))
DIRS       := shared consumer/lib $(foreach p,$(PROGRAMS),$(call DIR,$(p)))

# Does the file hold another line than this?
differs     = $(subst <$(strip $(file < $(1)))>,,<$(strip $(2))>)

# Everything but main.c goes into one library per folder, which tests link too.
LIB_SRC     = $(filter-out $(1)/main.c,$(wildcard $(1)/*.c $(1)/*/*.c))
UNIT_SRC   := $(wildcard $(foreach d,* */* */*/*,tests/unit/$(d)/test_*.c))
ALL_SRC    := $(wildcard $(DIRS:%=%/*.c) $(DIRS:%=%/*/*.c) tests/system/*.c tests/bench/*.c tests/bench/load/*.c tests/fuzz/*.c) $(UNIT_SRC)
HEADERS    := $(wildcard $(DIRS:%=%/*.h) $(DIRS:%=%/*/*.h))
TEST_HEADERS := $(wildcard tests/*/*.h tests/*/*/*.h tests/*/*/*/*.h)
OBJ         = $(patsubst %.c,$(B)/%.o,$(1))
BINARIES   := $(PROGRAMS:%=$(B)/bin/pregon-%)
UNIT_TESTS := $(UNIT_SRC:%.c=$(B)/%)
FUZZ       := $(patsubst %.c,$(B)/%,$(wildcard tests/fuzz/fuzz_*.c))
BENCH      := $(patsubst %.c,$(B)/%,$(wildcard tests/bench/*.c)) $(B)/tests/bench/load/load
SONAME     := libpregon.so.0
LIBPREGON  := $(B)/libpregon.a $(B)/$(SONAME)

# Compiling uses all cores, unless -j sets a number; all other steps run in the given order.
JOBS = $(if $(filter -j% --jobserver%,$(MAKEFLAGS)),,-j$(shell nproc))

# Two minutes of chaos and a hundred killed brokers take longest and therefore come first; under the
# sanitizers the other tests cover this.  `make chaos` runs the chaos by itself.
SYSTEM_TESTS := $(if $(SAN),,tests/chaos/test_chaos.py) tests/system tests/chaos/test_history_check.py \
           tests/chaos/test_lock_history_check.py tests/chaos/test_locks_history.py
# Under another name, because make -n would run a recipe that contains the variable MAKE.
MAKE_PROGRAM := $(MAKE)
# Most tests wait for something: run three test files at a time for each processor.
AT_ONCE := $(shell echo $$((3 * $$(nproc))))

.DELETE_ON_ERROR:
.SECONDARY:
.PHONY: objects compilers all build deps charts web run test unit unit-build system check hdr-check arch-check docs docs-check \
        test-sanitize coverage fuzz fuzz-build mutation test-compose test-python test-web chaos chaos-locks chaos-publish attack \
        bench bench-docs bench-store bench-locks bench-instructions format format-check lint compdb install install-systemd clean help \
        FORCE

all: deps $(if $(shell command -v npm),charts) ## build the programs (default)
	$(Q)$(MAKE) --no-print-directory $(JOBS) build

build: $(BINARIES) $(LIBPREGON)
	@:

deps: ## install what is missing from Debian's packages (no question if all is installed)
	$(Q)tools/install-deps

# Charts for the quote board, from npm. In build/, so that no foreign files are among the sources; the
# gateway embeds them.  Where npm is missing or fails, the board shows tables instead.
NPM_CI := npm ci --ignore-scripts --no-audit --no-fund
LIGHTWEIGHT := build/npm/node_modules/lightweight-charts
CHARTS := build/web/lightweight-charts.js
$(CHARTS): gateway/web/package.json gateway/web/package-lock.json
	@mkdir -p build/npm build/web
	$(Q)cp $^ build/npm
	$(Q)cd build/npm && $(NPM_CI) $(NPM_FLAGS)
	$(Q)cp $(LIGHTWEIGHT)/LICENSE build/web/lightweight-charts.txt
	$(Q)cp $(LIGHTWEIGHT)/dist/lightweight-charts.standalone.production.mjs $@

charts:
	$(Q)$(MAKE_PROGRAM) -s $(CHARTS) NPM_FLAGS=--fetch-retries=0 || \
	  echo 'The quote board gets no charts, because npm failed. "make web" tries again.'

web: ## get the charts if they are missing, and npm for that
	$(Q)$(MAKE_PROGRAM) --no-print-directory -q $(CHARTS) || command -v npm >/dev/null || tools/install-deps web
	$(Q)$(MAKE) --no-print-directory -s $(CHARTS)

$(B)/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(if $(V),,@echo "  CC   $@";)$(CC) $(CPPFLAGS) $(ALL_CFLAGS) -MMD -MP -c $< -o $@

# The files that the gateway embeds (the list is in gateway/routes/www.c), each also compressed.
# -MMD does not see files of .incbin, nor charts that are missing: hence the list of names.
WWW := $(wildcard gateway/www/* consumer/js/*.js build/web/*)
$(B)/gateway/routes/www.o: CPPFLAGS += -DWWW_PACKED='"$(B)/packed"'
$(B)/gateway/routes/www.o: $(B)/packed/names $(WWW) $(WWW:%=$(B)/packed/%.gz)
$(B)/packed/names: $(if $(call differs,$(B)/packed/names,$(WWW)),FORCE)
	@mkdir -p $(@D)
	$(Q)echo '$(WWW)' > $@
$(B)/packed/%.gz: %
	@mkdir -p $(@D)
	$(Q)gzip -9nc $< > $@

# Linked into every program directly, not from a library: it must replace the C library's functions
# for ZeroMQ too.
EPOLL := $(B)/shared/base/epoll.o

define program
$(B)/lib$(1).a: $(call OBJ,$(call LIB_SRC,$(call DIR,$(1))))
$(B)/bin/pregon-$(1): $(B)/$(call DIR,$(1))/main.o $(EPOLL) $(B)/lib$(1).a $(USES_$(1):%=$(B)/lib%.a) \
  $(if $(filter consumer/%,$(call DIR,$(1))),$(B)/libconsumer.a) $(B)/libshared.a
$(B)/bin/pregon-$(1): LDLIBS += $(LIBS_$(1))
endef
$(foreach p,$(PROGRAMS),$(eval $(call program,$(p))))
$(B)/libshared.a: $(filter-out $(EPOLL),$(call OBJ,$(call LIB_SRC,shared)))
$(B)/libconsumer.a: $(call OBJ,$(call LIB_SRC,consumer/lib))

$(B)/%.a:
	@echo "  AR   $@"
	$(Q)rm -f $@ && $(AR) rcs $@ $^

LIBS := $(PROGRAMS:%=$(B)/lib%.a) $(B)/libconsumer.a $(B)/libshared.a

$(B)/bin/%:
	@mkdir -p $(@D)
	@echo "  LD   $@"
	$(Q)$(CC) $(LDFLAGS) $^ $(LDLIBS) -o $@

$(B)/tests/unit/%: $(B)/tests/unit/%.o $(EPOLL) $(LIBS)
	@echo "  LD   $@"
	$(Q)$(CC) $(LDFLAGS) $^ -lcmocka -lm $(LDLIBS) -o $@

$(B)/tests/unit/doctor/test_probe_requests: LDLIBS += $(LIBS_doctor)

$(B)/tests/unit/consumer/telegram/test_botapi_http: LDLIBS += $(LIBS_telegram)

$(B)/tests/bench/%: $(B)/tests/bench/%.o $(B)/libshared.a
	@echo "  LD   $@"
	$(Q)$(CC) $(LDFLAGS) $^ $(LDLIBS) -o $@

# Built by `make fuzz`: clang's libFuzzer brings the main function.
$(B)/tests/fuzz/%: $(B)/tests/fuzz/%.o $(LIBS)
	@echo "  LD   $@"
	$(Q)$(CC) $(LDFLAGS) -fsanitize=fuzzer $^ $(LDLIBS) -lcurl -lm -o $@

# The load is several files; kernels is the programs' insides.
$(B)/tests/bench/load/load: $(call OBJ,$(wildcard tests/bench/load/*.c)) $(B)/libshared.a
$(B)/tests/bench/kernels: $(B)/tests/bench/kernels.o $(LIBS)
$(B)/tests/bench/load/load $(B)/tests/bench/kernels:
	@echo "  LD   $@"
	$(Q)$(CC) $(LDFLAGS) $^ $(LDLIBS) -o $@

# libpregon: the objects of consumer/lib and the parts of shared/ that they use, as one object that
# exports only pregon_…, so that no other name conflicts with a name in a user's program.
PREGON_OBJ := $(call OBJ,$(call LIB_SRC,consumer/lib) \
  $(wildcard shared/sync/*.c shared/feed/*.c) \
  $(addprefix shared/base/,buf.c clock.c err.c json_value.c log.c mem.c random.c utf8.c) \
  $(addprefix shared/wire/,bus.c lock_name.c pack.c quote.c quote_json.c replay.c wire.c))

$(B)/libpregon.o: $(PREGON_OBJ)
	@echo "  LD   $@"
	$(Q)$(LD) -r $^ -o $@ && $(OBJCOPY) --localize-hidden $@
$(B)/libpregon.a: $(B)/libpregon.o
$(B)/$(SONAME): $(B)/libpregon.o
	@echo "  LD   $@"
	$(Q)$(CC) -shared -Wl,-soname,$(SONAME) $(filter-out -pie,$(LDFLAGS)) \
	  $(if $(SAN),,-Wl,-z,defs) $^ -lzmq -o $@

# The program that the tests of libpregon drive; built on the library as it is installed.
DRIVER := $(B)/tests/system/driver
$(DRIVER): $(B)/tests/system/driver.o $(B)/libpregon.a
	@echo "  LD   $@"
	$(Q)$(CC) $(LDFLAGS) $^ -lzmq -o $@

run: all ## start broker, feeder (recorded data) and gateway; Ctrl-C stops them
	$(Q)$(PYTHON) tools/run.py --bin $(B)/bin

test: deps ## run the tests (about six minutes)
	$(Q)$(MAKE) --no-print-directory $(JOBS) build unit-build $(DRIVER)
	$(Q)$(MAKE) --no-print-directory check $(if $(SAN),,bench-instructions) system

check: unit hdr-check arch-check docs-check $(BENCH) $(call OBJ,$(wildcard tests/fuzz/*.c))

# Every object of this repository, including those of tests and benchmarks.
objects: $(call OBJ,$(ALL_SRC))
	@:

# For other processors only the headers of the libraries are needed, and those are the same.
CROSS_HEADERS := zmq.h msgpack.h msgpack wslay yajl sqlite3.h uthash.h utlist.h cmocka.h
build/cross-include: Makefile
	@mkdir -p $@
	$(Q)for h in $(CROSS_HEADERS); do ln -sfn /usr/include/$$h $@/$$h; done
	$(Q)ln -sfn "$$(dirname $$(echo '#include <curl/curl.h>' | gcc -M -E -xc - | \
	  grep -o '[^ ]*/curl/curl.h' | head -n 1))" $@/curl
	@touch $@

compilers: | build/cross-include ## compile everything with clang, gcc -O3, and for 64- and 32-bit ARM
	$(Q)tools/install-deps build test compilers
	$(Q)$(MAKE) --no-print-directory $(JOBS) CC=clang B=build/clang SAN= build unit-build
	$(Q)$(MAKE) --no-print-directory $(JOBS) CFLAGS='-O3 -g' B=build/O3 SAN= build unit
	$(Q)for cc in aarch64-linux-gnu-gcc arm-linux-gnueabihf-gcc; do \
	  $(MAKE) --no-print-directory $(JOBS) CC=$$cc B=build/$$cc SAN= \
	    CROSS_FLAGS='-D_FILE_OFFSET_BITS=64 -isystem build/cross-include' objects || exit 1; done

unit-build: $(UNIT_TESTS)
	@:

unit: $(UNIT_TESTS) ## unit tests only
	$(Q)printf '%s\n' $^ | xargs -n 1 -P $$(nproc) sh -c 'rm -f "$$0.failed"; \
	  "$$0" >"$$0.log" 2>&1 && echo "  OK   $$0" || { cat "$$0.log"; touch "$$0.failed"; false; }' || \
	  { printf 'unit tests that failed:\n'; \
	    for t in $^; do [ ! -e $$t.failed ] || printf '  %s\n' $$t; done; exit 1; }

system: build $(DRIVER) $(BENCH) ## tests against the real processes only
	$(Q)PREGON_BIN=$(abspath $(B)/bin) PREGON_MAKE='$(MAKE_PROGRAM) B=$(B) SAN=$(SAN)' \
	  PREGON_CFLAGS='$(SAN:%=-fsanitize=%) $(filter --coverage,$(CFLAGS))' $(PYTHON) -m pytest -q \
	  -n $(AT_ONCE) --dist loadfile $(SYSTEM_TESTS) $(PYTEST_ARGS)

NPM_TESTS := build/npm-tests/node_modules/.package-lock.json
$(NPM_TESTS): tests/web/package.json tests/web/package-lock.json
	@mkdir -p build/npm-tests
	$(Q)cp $^ build/npm-tests
	$(Q)cd build/npm-tests && $(NPM_CI)
	@touch $@

test-web: ## pregon.js under Node and in Chromium, the pages in all variants; build/web-screenshots/
	$(Q)tools/install-deps build test browser
	$(Q)command -v npm >/dev/null || tools/install-deps web
	$(Q)$(MAKE) --no-print-directory -s $(CHARTS)
	$(Q)$(MAKE) --no-print-directory $(JOBS) build $(NPM_TESTS)
	$(Q)PREGON_BIN=$(abspath $(B)/bin) $(PYTHON) -m pytest -q -p no:cacheprovider tests/web $(PYTEST_ARGS)

test-python: ## the Python package on every Python that this machine has; libraries from PyPI
	$(Q)tools/install-deps build test python
	$(Q)$(MAKE) --no-print-directory $(JOBS) build
	$(Q)$(PYTHON) tests/python/venvs.py build/python
	$(Q)PREGON_BIN=$(abspath $(B)/bin) $(PYTHON) -m pytest -q -p no:cacheprovider -n $(AT_ONCE) \
	  tests/python $(PYTEST_ARGS)

test-compose: deps ## docker-compose.yml on a real engine, scaled, killed, moved; skipped without one
	$(Q)$(PYTHON) -m pytest -q -p no:cacheprovider tests/compose $(PYTEST_ARGS)

chaos: build ## kill, stop and cut everything at random: make chaos MINUTES=10 SEED=7
	$(Q)$(PYTHON) tests/chaos/chaos.py --bin $(abspath $(B)/bin) --minutes $(or $(MINUTES),10) \
	  $(if $(SEED),--seed $(SEED))

chaos-locks: build ## the same for locks and their callers: make chaos-locks MINUTES=10 SEED=7
	$(Q)$(PYTHON) tests/chaos/locks.py --bin $(abspath $(B)/bin) --minutes $(or $(MINUTES),10) \
	  $(if $(SEED),--seed $(SEED))

chaos-publish: build ## the same for producers that repeat requests: make chaos-publish MINUTES=10 SEED=7
	$(Q)$(PYTHON) tests/chaos/publish.py --bin $(abspath $(B)/bin) --minutes $(or $(MINUTES),10) \
	  $(if $(SEED),--seed $(SEED))

attack: build ## a client's latency beside attacks, and memory: make attack ATTACK_ARGS='--only names'
	$(Q)PREGON_BIN=$(abspath $(B)/bin) $(PYTHON) tests/attack/attack.py $(ATTACK_ARGS)

bench-locks: build ## latency of quotes beside busy locks: make bench-locks BENCH_ARGS='--rounds 6'
	$(Q)$(PYTHON) tests/bench/locks.py --bin $(abspath $(B)/bin) $(BENCH_ARGS)

bench-instructions: $(B)/tests/bench/kernels ## instructions per quote, compared with the recorded ones; RECORD=1 records them
	$(Q)$(PYTHON) tests/bench/instructions.py $< --compiler '$(CC)' --flags '$(CFLAGS)' $(if $(RECORD),--record)

bench: build $(BENCH) ## Pregón next to a minimal broadcaster and others: make bench QUICK=1 BENCH_ARGS='--works W1'
	$(Q)PREGON_BIN=$(abspath $(B)/bin) $(PYTHON) tests/bench/bench.py --json build/bench.jsonl \
	  $(if $(QUICK),--quick) $(BENCH_ARGS)

bench-docs: ## the same, and write its table into docs/benchmarks.md
	$(Q)$(MAKE) --no-print-directory bench BENCH_ARGS='--docs $(BENCH_ARGS)'

bench-store: build $(B)/tests/bench/sink ## speed with and without a store: make bench-store BENCH_ARGS='--runs 5'
	$(Q)PREGON_BIN=$(abspath $(B)/bin) $(PYTHON) tests/bench/store.py $(BENCH_ARGS)

test-sanitize: ## all tests under address, undefined and thread sanitizers
	$(Q)$(MAKE) --no-print-directory SAN=address,undefined test
	$(Q)$(MAKE) --no-print-directory SAN=thread test

# clang's libFuzzer under address and undefined, in build/fuzz.
FUZZ_CC ?= clang
fuzz: ## run the fuzz targets, in this time together: make fuzz MINUTES=60 FUZZ_ARGS='--only json'
	$(Q)tools/install-deps build test compilers
	$(Q)$(MAKE) --no-print-directory $(JOBS) CC='$(FUZZ_CC)' B=build/fuzz \
	  SAN=fuzzer-no-link,address,undefined fuzz-build
	$(Q)$(PYTHON) tests/fuzz/fuzz.py --build build/fuzz --minutes $(or $(MINUTES),2) $(FUZZ_ARGS)

fuzz-build: $(FUZZ)
	@:

mutation: ## change the code at random and count what unit tests notice: make mutation ARGS='--files "broker/*" --count 60 --seed 1'
	$(Q)$(PYTHON) tests/mutation/mutate.py $(ARGS)

# GCC's counters: each process adds its own to the .gcda files when it exits.
coverage: ## lines of our code that the tests run: build/coverage/report.txt, html/
	$(Q)tools/install-deps build test lint
	$(Q)mkdir -p build/coverage && find build/coverage -name '*.gcda' -delete
	$(Q)LDFLAGS=--coverage $(MAKE) --no-print-directory $(JOBS) CC=gcc B=build/coverage SAN= \
	  CFLAGS='-O1 -g --coverage -fprofile-update=atomic' build unit-build $(DRIVER:$(B)/%=build/coverage/%) \
	  build/coverage/tests/bench/feed
	$(Q)LDFLAGS=--coverage $(MAKE) --no-print-directory CC=gcc B=build/coverage SAN= \
	  CFLAGS='-O1 -g --coverage -fprofile-update=atomic' unit system
	$(Q)tools/coverage build/coverage

hdr-check: $(HEADERS:%=$(B)/%.ok) ## every header compiles on its own
$(B)/%.h.ok: %.h Makefile
	@mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS) $(ALL_CFLAGS) -fsyntax-only -x c $< && touch $@

arch-check: $(LIBS) ## no include or symbol breaks the layering
	$(Q)tools/arch-check $(B)

docs: docs/config.md .env.example ## regenerate the settings tables
docs/config.md: $(BINARIES)
	$(Q)tools/settings-doc $(B)/bin > $@.new && mv $@.new $@
.env.example: docs/config.md tools/env-example
	$(Q)tools/env-example docs/config.md > $@.new && mv $@.new $@
docs-check: $(BINARIES) ## docs/config.md and .env.example match the programs
	$(Q)tools/settings-doc $(B)/bin | diff docs/config.md - || { echo 'run: make docs'; exit 1; }
	$(Q)tools/env-example docs/config.md | diff .env.example - || { echo 'run: make docs'; exit 1; }

format: ## rewrite the sources with clang-format
	$(Q)clang-format -i $(ALL_SRC) $(HEADERS) $(TEST_HEADERS)
format-check:
	$(Q)clang-format --dry-run -Werror $(ALL_SRC) $(HEADERS) $(TEST_HEADERS)

# cppcheck reads every folder at once, clang-tidy (.clang-tidy) each source of the programs.
lint: ## cppcheck and clang-tidy; both report nothing
	$(Q)tools/install-deps build test compilers lint
	$(Q)cppcheck -q -j $$(nproc) --enable=warning,performance,portability --std=c11 $(CPPFLAGS) \
	  -D__linux__ --include=tools/cppcheck.h --suppressions-list=tools/cppcheck-known \
	  --template='{file}:{line}: {message} [{id}]' --error-exitcode=1 $(DIRS) tests
	$(Q)printf '%s\n' $(filter-out tests/unit/% tests/system/%,$(ALL_SRC)) | \
	  xargs -P $$(nproc) -n 4 sh -c 'clang-tidy --quiet "$$@" -- -std=gnu17 $(CPPFLAGS) -DWWW_PACKED=\"packed\" 2>/dev/null' tidy

compdb: compile_commands.json ## for clangd and clang-tidy
compile_commands.json: Makefile $(ALL_SRC)
	$(Q){ printf '['; s=; for f in $(ALL_SRC); do \
	  printf '%s\n{"directory":"%s","file":"%s","command":"%s"}' "$$s" "$(CURDIR)" "$$f" \
	  '$(CC) $(CPPFLAGS) $(ALL_CFLAGS) -c '"$$f"; s=,; done; printf '\n]\n'; } > $@

# Documents lie as they do here, so that their links lead somewhere.
DOCUMENTS := README.md README.es.md ARCHITECTURE.md CHANGELOG.md CONTRIBUTING.md LICENSE .env.example docker-compose.yml \
             consumer/lib/pregon.h consumer/lib/pregon_publish.h feeder/data/README.md \
             $(wildcard docs/*.md docs/*.svg docs/protocol/*.md docs/adr/*.md consumer/examples/*.* consumer/js/*.* \
               consumer/python/README.md \
               monitoring/*)
DOC       := $(DESTDIR)$(PREFIX)/share/doc/pregon

install: $(if $(filter no,$(WITH_CHARTS)),deps build,web all) ## install under $(DESTDIR)$(PREFIX); WITH_CHARTS=no needs no npm
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/share/pregon/data \
	  $(DESTDIR)$(PREFIX)/include $(DESTDIR)$(PREFIX)/lib/pkgconfig
	install -m 755 $(BINARIES) $(DESTDIR)$(PREFIX)/bin
	install -m 644 consumer/lib/pregon.h consumer/lib/pregon_publish.h $(DESTDIR)$(PREFIX)/include
	install -m 644 $(B)/libpregon.a $(B)/$(SONAME) $(DESTDIR)$(PREFIX)/lib
	ln -sf $(SONAME) $(DESTDIR)$(PREFIX)/lib/libpregon.so
	sed -e 's|@PREFIX@|$(PREFIX)|' \
	  -e "s|@VERSION@|$$(sed -n 's/.*PREGON_VERSION "\(.*\)"/\1/p' shared/base/version.h)|" \
	  consumer/lib/pregon.pc.in > $(DESTDIR)$(PREFIX)/lib/pkgconfig/pregon.pc
	install -m 644 feeder/data/* $(DESTDIR)$(PREFIX)/share/pregon/data
	$(Q)for f in $(DOCUMENTS); do install -D -m 644 $$f $(DOC)/$$f || exit 1; done
	$(if $(DESTDIR),,$(Q)[ "$$(id -u)" != 0 ] || PATH="$$PATH:/usr/sbin:/sbin" ldconfig)

install-systemd: ## install systemd units, and settings for them in /etc/pregon
	$(Q)tools/install-units '$(DESTDIR)' '$(PREFIX)' '$(SYSCONFDIR)' '$(UNITDIR)'

clean: ## remove build/
	rm -rf build compile_commands.json

help: ## this list
	@sed -n '/^#/!q;s/^# \{0,1\}//p' $(firstword $(MAKEFILE_LIST))
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  \1\t\2/p' $(firstword $(MAKEFILE_LIST)) | expand -t 16

-include $(patsubst %.c,$(B)/%.d,$(ALL_SRC))
