# demo.sh: what `make demo` runs: a whole pipeline against the built-in simulator, in build/demo/ (pipeline.lua says so).
set -eu
defendis=${BUILD:-build}/defendis
demo=build/demo
records=${DEMO_RECORDS:-20000}

say() { printf '\n\033[1m$ %s\033[0m\n' "$*"; "$@"; }
[ -t 1 ] && [ -z "${NO_COLOR:-}" ] || say() { printf '\n$ %s\n' "$*"; "$@"; }

rm -rf "$demo"
mkdir -p "$demo"
mkfifo "$demo/simulator"
"$defendis" simulate --records "$records" --latency 2ms --fault 500=0.01,truncate=0.01,repeat=0.01 >"$demo/simulator" &
simulator=$!
trap 'kill "$simulator" 2>/dev/null || :' EXIT
trap 'exit 130' INT TERM

# its first line says where it listens and which key it takes
IFS= read -r line <"$demo/simulator" || { echo "the simulator did not start" >&2; exit 1; }
rm "$demo/simulator"
DEFENDIS_BASE_URL=$(printf '%s\n' "$line" | sed 's/.*"base_url":"\([^"]*\)".*/\1/')
DEFENDIS_API_KEY=$(printf '%s\n' "$line" | sed 's/.*"api_key":"\([^"]*\)".*/\1/')
export DEFENDIS_BASE_URL DEFENDIS_API_KEY
echo "the simulator listens on $DEFENDIS_BASE_URL: $records credentials, and one answer in thirty is broken"

say "$defendis" test examples/rules
say "$defendis" ingest examples/pipeline.lua
say "$defendis" ledger verify examples/pipeline.lua

printf '\ndocuments and findings, one JSON object a line:\n'
wc -l "$demo"/out/*.jsonl
