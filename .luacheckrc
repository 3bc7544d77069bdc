std = "lua54+busted"
max_line_length = 140
files["examples/rules"] = { read_globals = { "null", "array", "get", "rule", "normalizer", "correlation", "filter", "ocsf", "time" } }
files["examples/guide"] = { read_globals = { "null", "get", "rule", "normalizer", "correlation", "filter", "time", "lookup", "email", "field",
  "millis", "lower", "host", "concat", "first_of", "hmac" } }
files["examples/*pipeline*.lua"] = { read_globals = { "pipeline", "jsonl", "sink" } }
files["lua/defendis/runner.lua"] = { globals = { "input", "args" } }
