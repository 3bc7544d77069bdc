"""The rules of match_rules.lua as Python functions, over the same lines: rules.py FOLDER. Writes "RULE RECORD" lines to FOLDER/peer."""
import json
import sys

folder = sys.argv[1]
source = open(folder + "/rules.py", encoding="utf-8").read()
rules = {}
exec(compile(source, "rules.py", "exec"), rules)  # defines RULES: a list of (id, function)
rules = rules["RULES"]

with open(folder + "/records.jsonl", "rb") as lines, open(folder + "/peer", "w", encoding="utf-8") as out:
    write, loads = out.write, json.loads
    for line in lines:
        r = loads(line)
        uid = r["id"]
        for name, match in rules:
            try:
                if match(r):
                    write(f"{name} {uid}\n")
            except Exception as e:  # one rule's fault is not the others'
                write(f"{name} {uid} {e}\n")
