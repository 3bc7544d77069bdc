#!/bin/sh
# valgrind.sh: a command, and every lua5.4 and defendis that it starts, under valgrind. usage: valgrind.sh BUILD COMMAND...
# Exits with the command's code; with 9 when that is 0 and a process has reports, which are printed.
set -eu
bin=$1/under/defendis build=$(realpath "$1")
shift
under=$build/under log=$build/log
rm -rf "$under" "$log"
mkdir -p "$under" "$log"

# a file for each process: nothing is lost of one that a test ends, and nothing mixes with what one prints
valgrind="valgrind -q --vgdb=no --error-exitcode=9 --leak-check=full --show-leak-kinds=definite --errors-for-leak-kinds=definite --suppressions=$(realpath spec/support/valgrind.supp) --log-file=$log/%p"
wrap() { printf '#!/bin/sh\nexec %s "$@"\n' "$valgrind $2" >"$under/$1" && chmod +x "$under/$1"; }
wrap lua5.4 "$(command -v lua5.4)"
wrap defendis "$build/defendis"
wrap under ''

code=0
PATH=$under:$PATH DEFENDIS_BIN=$bin DEFENDIS_UNDER=$under/under "$@" || code=$?
find "$log" -type f -size +0 -exec cat {} + >"$build/reports"
if [ -s "$build/reports" ]; then
  cat "$build/reports" >&2
  [ "$code" != 0 ] || code=9
fi
exit $code
