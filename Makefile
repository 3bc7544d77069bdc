# defendis: settings first, then what to do with them. `make help` lists the targets.
PREFIX  ?= /usr/local
DESTDIR ?=
CC      ?= cc
BUILD   ?= build
WERROR  ?=
LUA     ?= lua5.4
SPECS   ?= spec

PACKAGES = gcc pkg-config lua5.4 liblua5.4-dev libcurl4-openssl-dev libsqlite3-dev libmicrohttpd-dev libmd-dev \
           libpcre2-dev libpsl-dev libidn2-dev publicsuffix lua-cjson lua-argparse lua-yaml lua-busted lua-check
PKGS     = lua5.4 libcurl sqlite3 libmicrohttpd libmd libpcre2-8 libpsl libidn2

KAFKA := $(shell pkg-config --exists rdkafka && echo -DDF_KAFKA $$(pkg-config --cflags rdkafka)) # the sink, when librdkafka-dev is installed
WARN   = -Wall -Wextra -Wpedantic -Wconversion -Wformat=2 -Wimplicit-fallthrough -Wshadow -Wstrict-prototypes
HARDEN = -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3 -fstack-protector-strong -fstack-clash-protection -fcf-protection=full
OPT    ?= -O2 -g
CFLAGS_ALL = -std=c11 -D_GNU_SOURCE -Iinclude -Isrc $(OPT) $(WARN) $(WERROR) $(HARDEN) -fPIC -fvisibility=hidden $(KAFKA) $(CFLAGS)
LDHARD = -Wl,-z,relro -Wl,-z,now -Wl,-z,noexecstack -Wl,--as-needed

CORE_SRC = $(wildcard src/base/*.c src/api/*.c src/io/*.c src/engine/*.c src/job/*.c src/bind/*.c)
HOST_SRC = $(wildcard src/host/*.c src/cli/*.c)
CORE_OBJ = $(CORE_SRC:%.c=$(BUILD)/%.o)
HOST_OBJ = $(HOST_SRC:%.c=$(BUILD)/%.o)
TEST_SRC = $(wildcard spec/internals/*.c)
LUA_SRC  = $(wildcard lua/defendis/*.lua lua/defendis/*/*.lua lua/defendis/*/*/*.lua)
CORE_SO  = $(BUILD)/lua/defendis/core.so
TEST_SO  = $(BUILD)/lua/defendis_internals.so
DISK_SO  = $(BUILD)/disk.so

# Stock Lua finds the module in the build tree and nothing else of ours.
LUA_ENV = LUA_PATH="lua/?.lua;lua/?/init.lua;spec/?.lua;;" LUA_CPATH="$(BUILD)/lua/?.so;;" DEFENDIS_BUILD=$(BUILD)

BIN = $(BUILD)/defendis
LIB = $(BUILD)/libdefendis.a

all: $(CORE_SO) $(BIN)

test: deps all $(TEST_SO) $(DISK_SO)
	@$(LUA_ENV) $(UNDER) $(LUA) /usr/bin/busted -o spec/support/tally.lua --helper=spec/support/left.lua $(SPECS)

Q = $(if $(V),,@)
PC = $(shell pkg-config --$(1) $(PKGS))
# libcurl, libmicrohttpd, PCRE2, libpsl and libidn2 are loaded when they are needed
LIBS = $(shell pkg-config --libs lua5.4 sqlite3 libmd) -ldl -lm -pthread
$(BUILD)/%.o: %.c
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS_ALL) $(call PC,cflags) -MMD -MP -c -o $@ $<

# Lua's own symbols come from the interpreter that loads the module.
$(CORE_SO): $(CORE_OBJ)
	@mkdir -p $(@D)
	$(Q)$(CC) -shared $(OPT) $(LDHARD) -o $@ $^ $(filter-out -llua5.4,$(LIBS))

COUNTED = malloc calloc realloc free strdup mmap munmap dlsym df_local_new # what the core takes, for spec/internals/live.c
$(TEST_SO): $(TEST_SRC) $(CORE_OBJ)
	$(Q)$(CC) -shared $(CFLAGS_ALL) $(call PC,cflags) $(LDHARD) $(COUNTED:%=-Wl,--wrap=%) -o $@ $^ $(filter-out -llua5.4,$(LIBS)) $(if $(KAFKA),-lrdkafka)

# Preloaded into a program under test, also a sanitized one: it has to be plain itself.
$(DISK_SO): $(wildcard spec/disk/*.[ch])
	$(Q)$(CC) -shared -std=c11 -D_GNU_SOURCE -O2 -g $(WARN) $(WERROR) -fPIC -fvisibility=hidden -o $@ $(filter %.c,$^) -ldl

# The Lua modules as one C table: the program needs no file but itself.
$(BUILD)/carried.c: src/host/carry.lua $(LUA_SRC)
	@mkdir -p $(@D)
	$(Q)$(LUA) src/host/carry.lua $(LUA_SRC) > $@.tmp && mv $@.tmp $@

$(BUILD)/carried.o: $(BUILD)/carried.c
	$(Q)$(CC) $(CFLAGS_ALL) -Wno-overlength-strings -c -o $@ $<

$(LIB): $(CORE_OBJ) $(HOST_OBJ) $(BUILD)/carried.o
	$(Q)rm -f $@ && $(AR) rcs $@ $(filter-out $(BUILD)/src/cli/main.o,$^)

$(BIN): $(BUILD)/src/cli/main.o $(LIB)
	$(Q)$(CC) $(OPT) -pie $(LDHARD) -o $@ $^ $(LIBS)

deps: # prints and asks nothing while all is there
	@for p in $(PKGS); do pkg-config --exists $$p 2>/dev/null || missing=1; done; \
	[ -d /usr/share/publicsuffix ] && command -v luacheck >/dev/null || missing=1; for m in cjson argparse yaml busted; do $(LUA) -e "require '$$m'" >/dev/null 2>&1 || missing=1; done; \
	[ -z "$$missing" ] || { command -v apt-get >/dev/null || { echo "install these first (Debian names): $(PACKAGES)" >&2; exit 1; }; \
	s=; [ "$$(id -u)" = 0 ] || s=sudo; $$s apt-get update -qq && DEBIAN_FRONTEND=noninteractive $$s apt-get install -y -qq $(PACKAGES) >/dev/null; }

# A whole pipeline against the built-in simulator, in build/demo/.
demo: deps all
	@BUILD=$(BUILD) sh examples/demo.sh

check: test lint docs

lint: deps
	@luacheck -q lua spec examples src/host
	@sh spec/lint/layers.sh

docs: all
	@$(LUA_ENV) $(LUA) spec/lint/docs.lua

ASAN = -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
asan: deps
	@$(MAKE) BUILD=$(BUILD)/asan OPT="-O1 -g $(ASAN)" HARDEN= all $(BUILD)/asan/lua/defendis_internals.so >/dev/null
	@LD_PRELOAD="$$($(CC) -print-file-name=libasan.so) $$($(CC) -print-file-name=libubsan.so)" ASAN_OPTIONS=detect_leaks=0 \
	  $(MAKE) -s BUILD=$(BUILD)/asan OPT="-O1 -g $(ASAN)" HARDEN= test

valgrind: deps
	$(call need,command -v valgrind >/dev/null,valgrind)
	@$(MAKE) -s BUILD=$(BUILD)/valgrind CFLAGS="-DDF_POOL_OFF -DDF_JIT_OFF" UNDER="sh spec/support/valgrind.sh $(BUILD)/valgrind" test

# What only one target needs: $(call need,TEST,PACKAGES).
need = @$(1) 2>/dev/null || { command -v apt-get >/dev/null || { echo "install these first (Debian names): $(2)" >&2; exit 1; }; \
	s=; [ "$$(id -u)" = 0 ] || s=sudo; $$s apt-get update -qq && DEBIAN_FRONTEND=noninteractive $$s apt-get install -y -qq $(2) >/dev/null; }

# What the suite does in small: kills, power losses and faults at every operation, random sequences, many records, failing sinks.
RECORDS ?= 10000000
soak: deps all $(TEST_SO) $(DISK_SO)
	@$(LUA_ENV) $(LUA) spec/soak/records.lua $(RECORDS) && $(LUA_ENV) $(LUA) spec/soak/sinks.lua $(SOAK_SECONDS) && $(LUA_ENV) $(LUA) spec/soak/requests.lua $(REQUESTS)
	@for s in pipeline/model pipeline/power pipeline/inject pipeline/damage pipeline/kill sinks/elastic_kill io/http_fault; do RESET_STEP=1 SEQUENCES=20000 KILLS=1000 \
	  POWER_SEEDS=5000 INJECT_STEP=1 DAMAGES=10000 $(LUA_ENV) $(LUA) /usr/bin/busted -o spec/support/tally.lua spec/$${s}_spec.lua || exit 1; done

FUZZ_SECONDS ?= 30
FUZZERS = $(patsubst spec/fuzz/%.c,$(BUILD)/fuzz/%,$(wildcard spec/fuzz/*.c))
fuzz: deps-fuzz $(FUZZERS)
	@for f in $(FUZZERS); do mkdir -p $$f.corpus && $$f -max_total_time=$(FUZZ_SECONDS) -verbosity=0 -print_final_stats=1 -artifact_prefix=$$f. $$f.corpus || exit 1; done

deps-fuzz: deps
	$(call need,command -v clang >/dev/null && [ -f "$$(clang -print-file-name=libclang_rt.fuzzer-x86_64.a)" -o -n "$$(ls /usr/lib/llvm-*/lib/clang/*/lib/linux/libclang_rt.fuzzer-*.a)" ],clang libclang-rt-14-dev)

$(BUILD)/fuzz/%: spec/fuzz/%.c $(CORE_SRC)
	@mkdir -p $(@D)
	$(Q)clang -std=c11 -D_GNU_SOURCE -Iinclude -Isrc -g -O1 -fsanitize=fuzzer,address,undefined $(call PC,cflags) -o $@ $^ $(LIBS) -lcurl

# Debian's own Python is the peer: faster than one built without profile data, and where apt-get puts its modules.
PYTHON ?= /usr/bin/python3
bench: deps all $(TEST_SO)
	$(call need,$(PYTHON) -c 'import requests' && command -v curl >/dev/null,python3-requests curl)
	@mkdir -p $(BUILD)/bench && TMPDIR=$(abspath $(BUILD)/bench) PYTHON=$(PYTHON) $(LUA_ENV) $(LUA) spec/bench/bench.lua

MODULES = $(DESTDIR)$(PREFIX)/share/lua/5.4
install: all
	install -D -m 755 $(BIN) $(DESTDIR)$(PREFIX)/bin/defendis
	install -D -m 755 $(CORE_SO) $(DESTDIR)$(PREFIX)/lib/lua/5.4/defendis/core.so
	for f in $(LUA_SRC:lua/%=%); do install -D -m 644 lua/$$f $(MODULES)/$$f || exit 1; done
	install -D -m 644 include/defendis.h $(DESTDIR)$(PREFIX)/include/defendis.h
	install -D -m 644 $(LIB) $(DESTDIR)$(PREFIX)/lib/libdefendis.a
	install -d $(DESTDIR)$(PREFIX)/lib/pkgconfig
	printf 'prefix=%s\nName: defendis\nDescription: embedded Lua host for leak intelligence\nVersion: %s\nCflags: -I$${prefix}/include\nLibs: -L$${prefix}/lib -ldefendis %s\n' \
	  '$(PREFIX)' "$$(sed -n 's/.*DEFENDIS_VERSION "\(.*\)"/\1/p' include/defendis.h)" '$(LIBS)' > $(DESTDIR)$(PREFIX)/lib/pkgconfig/defendis.pc

clean:
	rm -rf $(BUILD)

.PHONY: deps-fuzz all test demo check lint docs asan valgrind soak fuzz bench install deps clean
-include $(CORE_OBJ:.o=.d) $(HOST_OBJ:.o=.d)
