#!/bin/sh
# layers.sh: who may use whom, and how long things may get. Prints one line per violation, `file:line: what`; exits 1 on any.
# usage: layers.sh [ROOT]   (a tree of the same shape; the current folder)
cd "${1:-.}" || exit 2
out=$(mktemp) && trap 'rm -f "$out"' EXIT

# say WHAT: turns lines `file:line:text` into violations. Text behind the second colon is dropped.
say() { sed -n "s|^\([^:]*:[0-9]*\):.*|\1: $1|p" >>"$out"; }

# C sources of a folder, or nothing: grep is never left without a file.
c_in() { ls "src/$1"/*.[ch] 2>/dev/null; }

# ---- C: a folder includes itself and what stands to its left
left=include
for layer in base api io engine job bind host cli; do
  left="$left $layer"
  files=$(c_in $layer)
  [ -n "$files" ] || continue
  allowed=$(echo "$left" | sed 's/include //; s/ /|/g')
  grep -Hn '^ *# *include "' $files | grep -Ev "\"(($allowed)/[a-z0-9_]+\.h|defendis\.h)\"" | say "src/$layer includes what is not to its left ($left)"
done
[ -z "$(c_in cli)" ] || grep -Hn '^ *# *include "' $(c_in cli) | grep -v '"defendis\.h"' | say 'src/cli includes defendis.h and libc only'

# ---- C: third-party headers, each in its one place. What is not in this list of libc's and the compiler's is third-party.
libc='assert|ctype|dirent|dlfcn|emmintrin|errno|fcntl|float|inttypes|limits|math|poll|pthread|signal|stdarg|stdatomic|stdbool|stddef|stdint|stdio|stdlib|string|strings|time|unistd'
libc="<(($libc)|arpa/inet|netinet/in|sys/(epoll|file|ioctl|mman|prctl|resource|socket|stat|time|types|un|wait))\.h>"
third() { # third FOLDERS HEADERS WHERE: the headers may be included in the files that match WHERE only
  grep -Hn "^ *# *include <\($1\)>" $(c_in base; c_in api; c_in io; c_in engine; c_in job; c_in bind; c_in host; c_in cli) /dev/null | grep -v "^$2:" | say "$3"
}
third 'curl/[a-z]*\.h' 'src/io/curl\.h' 'libcurl is reached through src/io/curl.h only'
grep -Hn '^ *# *include "io/curl\.h"' $(c_in base; c_in api; c_in engine; c_in job; c_in bind; c_in host; c_in cli) /dev/null | say 'io/curl.h is for src/io only'
third 'librdkafka/[a-z]*\.h' 'src/io/kafka\.c' 'librdkafka is used in src/io/kafka.c only'
third 'sqlite3\.h' 'src/io/store\.c' 'SQLite is used in src/io/store.c only'
third 'microhttpd\.h' 'src/io/httpd\.c' 'libmicrohttpd is used in src/io/httpd.c only'
third 'pcre2\.h' 'src/io/regex\.c' 'PCRE2 is used in src/io/regex.c only'
third 'libpsl\.h' 'src/io/psl\.c' 'libpsl is used in src/io/psl.c only'
third 'idn2\.h' 'src/io/idn\.c' 'libidn2 is used in src/io/idn.c only'
third 'sha[12]\.h' 'src/io/hash\.c' 'libmd is used in src/io/hash.c only'
third 'l\(ua\|ualib\|auxlib\|uaconf\)\.h' 'src/\(job\|bind\)/[^:]*' 'Lua is used in src/job and src/bind only'
grep -Hn '^ *# *include <' $(c_in base; c_in api; c_in io; c_in engine; c_in job; c_in bind; c_in host; c_in cli) /dev/null |
  grep -Ev "$libc|<(curl/[a-z]*|librdkafka/[a-z]*|sqlite3|microhttpd|pcre2|libpsl|idn2|sha[12]|lua|lualib|lauxlib|luaconf)\.h>" | say 'a header that no folder may use'

# ---- C: src/api decides and never asks what time it is; functions that cannot be used safely
bare() { # bare FILES...: file:line:text without comments
  [ $# -eq 0 ] || awk 'FNR == 1 { inside = 0 } { rest = $0; text = ""
    while (rest != "") {
      i = index(rest, inside ? "*/" : "/*")
      if (!inside) text = text (i ? substr(rest, 1, i - 1) : rest)
      rest = i ? substr(rest, i + 2) : ""
      if (i) inside = !inside
    }
    print FILENAME ":" FNR ":" text }' "$@"
}
bare $(c_in api) | grep -E '(^|[^A-Za-z0-9_])(time|gettimeofday|clock_gettime|clock|sleep|usleep|nanosleep|df_clock_(mono|wall)_ms) *\(' | say 'src/api reads no clock and does not sleep'
bare $(c_in base; c_in api; c_in io; c_in engine; c_in job; c_in bind; c_in host; c_in cli) | grep -E '(^|[^A-Za-z0-9_])(gets|strcpy|strcat|sprintf|vsprintf|strtok|atoi|atol|alloca|scanf|sscanf|fscanf|system|popen|tmpnam|mktemp) *\(' | say 'a banned function'

# ---- Lua: a module requires its own layer and what stands to its left
lua_in() { for f in "$@"; do find "lua/defendis/$f" "lua/defendis/$f.lua" -name '*.lua' 2>/dev/null; done; }
check='check time'
middle='catalog client connection endpoint helpers kinds normalize posting producing rotation rules secret sensitive sigma sinks task store transfer ledger runner watchlist'
upper='init cassettes pipeline reference ruletest simulator replay report lintrules lintfields lintmaps lintsigma junit explain'
requires() { # requires MODULES LAYERS WHAT
  files=$(lua_in $1)
  [ -n "$files" ] || return 0
  names=$(echo $2 | sed 's/ /|/g')
  grep -HnoE "require *\(? *[\"']defendis\.[a-z0-9_.]*" $files | grep -Ev "[\"']defendis\.($names)([.].*)?$" | say "$3"
}
requires "$check" "$check" "this layer requires $check only"
requires 'helpers' "$check helpers" 'helpers require check, time and each other only'
requires 'rules normalize sigma' "$check helpers rules normalize sigma" 'rules, sigma and normalize run without the core: they require check, time, helpers and each other only'
requires 'normalize' "$check helpers normalize" 'normalize does not use the rules'
requires 'sigma' "$check helpers normalize sigma" 'sigma does not use the rules'
requires "$middle" "core $check $middle" "this layer requires core, $check, $middle only"
requires "$upper" "core $check $middle $upper" 'only the command line may require the command line'
known=$(echo "$check $middle $upper cli" | sed 's/ /|/g')
find lua -name '*.lua' | grep -Ev "^lua/defendis/($known)(/.*)?(\.lua)?$" | sed 's/$/:1:/' | say 'a module that has no place in the layers (spec/lint/layers.sh)'

# ---- lengths
no_longer() { # no_longer LIMIT FILES...
  limit=$1; shift
  for f in "$@"; do
    [ -f "$f" ] || continue
    n=$(wc -l <"$f")
    [ "$n" -le "$limit" ] || echo "$f:$n: the file has $n lines, over $limit" >>"$out"
  done
}
no_longer 499 $(find src spec -name '*.[ch]' 2>/dev/null) include/*.h
no_longer 299 $(find lua examples src -name '*.lua' 2>/dev/null)
# a spec may be longer: one subject is easier to find in one file than in two, and nothing requires it
no_longer 399 $(find spec -name '*.lua' 2>/dev/null)
no_longer 150 Makefile
no_longer 149 src/cli/main.c
no_longer 39 examples/pull.lua examples/enrich.lua examples/correlate.lua examples/embed.c examples/pull.c
no_longer 30 $(find src lua spec -name README.md 2>/dev/null)
for f in $(find src spec -name '*.c' 2>/dev/null); do # a definition begins in the first column and ends with } there
  awk -v f="$f" '/^[A-Za-z_]/ { start = NR; called = /\(/ } /^}/ { if (called && NR - start >= 59)
    printf "%s:%d: the function has %d lines, over 59\n", f, start, NR - start + 1; called = 0 }' "$f" >>"$out"
done
for f in $(find src spec include -name '*.[ch]' 2>/dev/null); do # luacheck looks after the Lua lines
  awk -v f="$f" 'length > 140 { printf "%s:%d: the line has %d bytes, over 140\n", f, NR, length }' "$f" >>"$out"
done
luac=$(command -v luac5.4 || command -v luac)
for f in $(find lua spec examples src -name '*.lua' 2>/dev/null); do
  "$luac" -l -p "$f" | sed -n 's/^function <.*:\([0-9]*\),\([0-9]*\)>.*/\1 \2/p' | while read -r first last; do
    [ $((last - first)) -lt 59 ] || sed -n "${first}p" "$f" | grep -Eq '^ *(describe|insulate)\(' ||
      echo "$f:$first: the function has $((last - first + 1)) lines, over 59" >>"$out"
  done
done

# ---- what a visitor sees first
for f in *; do
  case $f in src | lua | include | spec | examples | Makefile | README.md | LICENSE | build) ;; # build is not in the repository
  *) echo "$f:1: does not belong on the top level" >>"$out" ;;
  esac
done

cat "$out"
[ ! -s "$out" ]
