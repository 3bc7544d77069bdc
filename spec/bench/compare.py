"""Are both outputs the same? Usage: compare.py OURS/ PEER/: the documents one by one, the findings by e-mail and time.

Prints {"records": n, "findings": n, "bytes": of one document, on average}; a difference is told and ends with 1.
"""
import json
import sys

ours, peer = sys.argv[1:]


def lines(path):
    with open(path, encoding="utf-8") as file:
        yield from file


def findings(path):
    return sorted((d["group"]["email"], d["time"]) for d in map(json.loads, lines(path)))


def first_difference(a, b, path=""):
    if isinstance(a, dict) and isinstance(b, dict):
        for key in sorted(a.keys() | b.keys()):
            if key not in a or key not in b or a[key] != b[key]:
                return first_difference(a.get(key), b.get(key), f"{path}.{key}")
    return f"{path}: {a!r} and {b!r}"


records = size = 0
theirs = lines(peer + "/out.jsonl")
ids = set()
for line in lines(ours + "/dataleaks.credentials.jsonl"):
    other = next(theirs, "null")
    a, b = json.loads(line), json.loads(other)
    if a != b:
        sys.exit(f"record {records + 1} differs at {first_difference(a, b)}")
    records, size = records + 1, size + len(line)
    ids.add(a["finding_info"]["uid"])
if next(theirs, None):
    sys.exit(f"the peer has more than {records} records")
if len(ids) != records:
    sys.exit(f"{records} records, but {len(ids)} ids")
mine, other = findings(ours + "/findings.jsonl"), findings(peer + "/findings.jsonl")
if mine != other:
    sys.exit(f"{len(mine)} and {len(other)} findings; first that differ: "
             f"{next((x for x in mine if x not in other), None)}, {next((x for x in other if x not in mine), None)}")
print(json.dumps({"records": records, "findings": len(mine), "bytes": size // max(records, 1)}))
