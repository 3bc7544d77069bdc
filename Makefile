# defendis: settings first, then what to do with them. `make help` lists the targets.
PREFIX  ?= /usr/local
DESTDIR ?=
CC      ?= cc
BUILD   ?= build
WERROR  ?=
LUA     ?= lua5.4
SPECS   ?= spec

PACKAGES = gcc pkg-config lua5.4 liblua5.4-dev libcurl4-openssl-dev libsqlite3-dev libmicrohttpd-dev libmd-dev \
           lua-cjson lua-argparse lua-busted lua-check
PKGS     = lua5.4 libcurl sqlite3 libmicrohttpd libmd

WARN   = -Wall -Wextra -Wpedantic -Wconversion -Wformat=2 -Wimplicit-fallthrough -Wshadow -Wstrict-prototypes
HARDEN = -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3 -fstack-protector-strong -fstack-clash-protection -fcf-protection=full
OPT    ?= -O2 -g
CFLAGS_ALL = -std=c11 -D_GNU_SOURCE -Iinclude -Isrc $(OPT) $(WARN) $(WERROR) $(HARDEN) -fPIC -fvisibility=hidden $(CFLAGS)
LDHARD = -Wl,-z,relro -Wl,-z,now -Wl,-z,noexecstack -Wl,--as-needed

CORE_SRC = $(wildcard src/base/*.c src/api/*.c src/io/*.c src/job/*.c src/bind/*.c)
HOST_SRC = $(wildcard src/host/*.c src/cli/*.c)
CORE_OBJ = $(CORE_SRC:%.c=$(BUILD)/%.o)
HOST_OBJ = $(HOST_SRC:%.c=$(BUILD)/%.o)
TEST_SRC = $(wildcard spec/internals/*.c)
LUA_SRC  = $(wildcard lua/defendis/*.lua lua/defendis/*/*.lua)
CORE_SO  = $(BUILD)/defendis/core.so
TEST_SO  = $(BUILD)/defendis_internals.so

# Stock Lua finds the module in the build tree and nothing else of ours.
LUA_ENV = LUA_PATH="lua/?.lua;lua/?/init.lua;spec/?.lua;;" LUA_CPATH="$(BUILD)/?.so;;" DEFENDIS_BUILD=$(BUILD)

all: $(CORE_SO)

test: deps all $(TEST_SO)
	@$(LUA_ENV) $(LUA) /usr/bin/busted -o spec/support/tally.lua $(SPECS)

PC = $(shell pkg-config --$(1) $(PKGS))
$(BUILD)/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(CFLAGS_ALL) $(call PC,cflags) -MMD -MP -c -o $@ $<

# Lua's own symbols come from the interpreter that loads the module.
$(CORE_SO): $(CORE_OBJ)
	@mkdir -p $(@D)
	$(CC) -shared $(OPT) $(LDHARD) -o $@ $^ $(shell pkg-config --libs sqlite3 libmd) -pthread

$(TEST_SO): $(TEST_SRC) $(CORE_OBJ)
	$(CC) -shared $(CFLAGS_ALL) $(call PC,cflags) $(LDHARD) -o $@ $^ $(shell pkg-config --libs sqlite3 libmd) -pthread

# Nothing is printed and nothing is asked while all is there.
deps:
	@for p in $(PKGS); do pkg-config --exists $$p 2>/dev/null || missing=1; done; \
	for m in cjson argparse busted luacheck.main; do $(LUA) -e "require '$$m'" >/dev/null 2>&1 || missing=1; done; \
	[ -z "$$missing" ] || { command -v apt-get >/dev/null || { echo "install these first (Debian names): $(PACKAGES)" >&2; exit 1; }; \
	s=; [ "$$(id -u)" = 0 ] || s=sudo; $$s apt-get update -qq && DEBIAN_FRONTEND=noninteractive $$s apt-get install -y -qq $(PACKAGES) >/dev/null; }

clean:
	rm -rf $(BUILD)

.PHONY: all test deps clean
-include $(CORE_OBJ:.o=.d) $(HOST_OBJ:.o=.d)
