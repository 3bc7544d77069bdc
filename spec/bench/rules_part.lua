-- rules_part.lua: the parts of `make bench` about rules. Each takes t = {measure, medians, say, rounds, python}, see bench.lua.
local json = require "cjson"
local run = require "support.run"

local HERE <const> = "spec/bench/"
local MOST_MIB <const>, MOST_SLOWER <const>, LEAST_FASTER <const> = 512, 2, 5

local parts = {}

local function whole(path)
  local f <close> = assert(io.open(path))
  return f:read "a"
end

-- The same records in 1,000 and in 1,000,000 groups, see groups.lua.
local function grouped(t, records, kind)
  local per_record, worst = {}, 0
  for _, groups in ipairs{ 1000, 1000000 } do
    local last, ours
    local runs = {}
    for i = 1, t.rounds do
      run.clean()
      local folder = run.folder()
      ours = t.measure(1, nil, ("lua5.4 %sgroups.lua %d %d %s %s"):format(HERE, records, groups, kind, folder))[1]
      last, runs[i] = json.decode(whole(folder .. "/figures")), ours
    end
    local m = t.medians(runs)
    per_record[groups] = m.cpu / records * 1e6
    worst = math.max(worst, m.rss)
    t.say("  %-6s %8d groups: %5.2f us CPU per record (decisions %.2f), %5.1f MiB, state %.0f MiB, %d findings, %d evicted", kind, groups,
      per_record[groups], last.deciding / records * 1e6, m.rss, last.bytes / 1048576, last.findings, last.evicted)
  end
  local ratio = per_record[1000000] / per_record[1000]
  t.say("    %.2fx; below %d and %d MiB: %s", ratio, MOST_SLOWER, MOST_MIB, ratio < MOST_SLOWER and worst <= MOST_MIB and "met" or "MISSED")
end

function parts.groups(t)
  local records = 2000000
  t.say("correlation, %d records of two days, all groups live, over a state on disk:", records)
  for _, kind in ipairs{ "slide", "close" } do grouped(t, records, kind) end
end

-- Rules as functions and declared against Python functions, see match.lua.
function parts.rules(t)
  local rules, records, folder = 1000, 100000, run.folder()
  assert(os.execute(("lua5.4 %smatch.lua make %d %d %s"):format(HERE, rules, records, folder)))
  local commands = { ("%s %smatch.py %s"):format(t.python, HERE, folder) }
  for i, way in ipairs{ "declared", "function" } do commands[i + 1] = ("lua5.4 %smatch.lua run %s %s"):format(HERE, folder, way) end
  local peer, declared, called = t.measure(t.rounds, nil, table.unpack(commands))
  local expected = whole(folder .. "/peer")
  assert(#expected > 0, "nothing matches")
  assert(whole(folder .. "/declared") == expected and whole(folder .. "/function") == expected, "the matches differ")
  local _, matches = expected:gsub("\n", "")
  t.say("%d match rules, %d records from JSON lines to matches; all three found the same %d:", rules, records, matches)
  local theirs = t.medians(peer)
  t.say("  %-20s %6.2f s CPU, %5.1f MiB", "Python functions", theirs.cpu, theirs.rss)
  for name, runs in pairs{ declared = declared, ["Lua functions"] = called } do
    local m = t.medians(runs)
    t.say("  %-20s %6.2f s CPU, %5.1f MiB: %.2fx%s", name, m.cpu, m.rss, theirs.cpu / m.cpu,
      name == "declared" and (theirs.cpu / m.cpu >= LEAST_FASTER and ", at least 5: met" or ", at least 5: MISSED") or "")
  end
end

return parts
