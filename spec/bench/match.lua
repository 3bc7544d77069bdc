-- match.lua: many match rules over JSON lines, for `make bench`: match.lua make RULES RECORDS FOLDER, then match.lua run FOLDER WAY.
--
-- `make` writes the records and the rules, as Lua functions (WAY "function"), declared ("declared") and as Python functions for match.py.
-- `run` reads the lines, makes records of them, applies the rules and writes a line per match to FOLDER/WAY. Rules
-- have 3 to 5 conditions, all of which must hold: equality, set, prefix and comparison of numbers; the first on one of the narrow fields.
collectgarbage "generational" -- as the program has it

local random
do
  local seed = 20260101
  function random(n) -- of our own, so that the same rules are measured everywhere
    seed = (seed * 1103515245 + 12345) % 2147483648
    return seed // 65536 % n + 1
  end
end

local function one(list) return list[random(#list)] end

local function names(format, n)
  local out = {}
  for i = 1, n do out[i] = format:format(i) end
  return out
end

local NARROW <const> = { { "domain", names("acme%d.example", 50) }, { "country", names("C%d", 40) },
  { "source.name", names("source-%d", 200) } }
local VALUES <const> = { { "severity", { "INFO", "LOW", "MEDIUM", "HIGH", "CRITICAL" } },
  { "source.type", { "stealer", "combolist", "breach", "paste" } }, { "machine.os", { "Windows 10", "Windows 11", "macOS 14", "Linux 6" } },
  table.unpack(NARROW) }
local PREFIXED <const> = { { "email", names("user%d", 90) }, { "url", names("https://s%d", 90) } }
local NUMBERS <const> = { { "cookies", 1000 }, { "risk", 100 }, { "source.age", 365 } }

local OPS <const> = { gt = ">", lt = "<", gte = ">=", lte = "<=" }

local function quoted(list)
  local out = {}
  for i, v in ipairs(list) do out[i] = ("%q"):format(v) end
  return out
end

-- A condition as texts: of a Lua function, of a Python function, and declared; names of sets are local to a rule.
local function condition(kind, name, narrow)
  local field, values = table.unpack(one(narrow and NARROW or kind <= 2 and VALUES or kind == 3 and PREFIXED or NUMBERS))
  local c = { field = field }
  local python = ('r["%s"]'):format(field:gsub("%.", '"]["'))
  if kind == 1 then
    local v = ("%q"):format(one(values))
    c.lua, c.python, c.declared = ("r.%s == %s"):format(field, v), ("%s == %s"):format(python, v), v
  elseif kind == 2 then
    local set = quoted{ one(values), one(values), one(values) }
    c.lua, c.python = ("%s[r.%s]"):format(name, field), ("%s in %s"):format(python, name)
    c.lua_set = ("local %s = { [%s] = true }"):format(name, table.concat(set, "] = true, ["))
    c.declared = "{ " .. table.concat(set, ", ") .. " }"
    c.python_set = ("%s = {%s}"):format(name, table.concat(set, ", "))
  elseif kind == 3 then
    local v = one(values)
    c.lua, c.python = ("r.%s:sub(1, %d) == %q"):format(field, #v, v), ("%s.startswith(%q)"):format(python, v)
    c.declared = ("{ prefix = %q }"):format(v)
  else
    local op, n = one{ "gt", "lt", "gte", "lte" }, random(values)
    c.lua, c.python = ("r.%s %s %d"):format(field, OPS[op], n), ("%s %s %d"):format(python, OPS[op], n)
    c.declared = ("{ %s = %d }"):format(op, n)
  end
  return c
end

-- Conditions of one rule, each on a field of its own; whom or where comes first, as people write rules.
local function conditions(i)
  local out, used, most = {}, {}, random(3) + 2
  while #out < most do
    local c = condition(random(#out == 0 and 2 or 4), ("S%d_%d"):format(i, #out + 1), #out == 0)
    if not used[c.field] then out[#out + 1] = c end
    used[c.field] = true
  end
  return out
end

local function write(path, parts, between)
  local f <close> = assert(io.open(path, "w"))
  f:write(table.concat(parts, between or "\n"), "\n")
end

local function make(rules, records, folder)
  local ours, shapes, theirs = { "local out = {}" }, { "return {" }, { "RULES = []" }
  for i = 1, rules do
    local lua, python, shape, before = {}, {}, {}, {}
    for k, c in ipairs(conditions(i)) do
      lua[k], python[k], shape[k] = c.lua, c.python, ('["%s"] = %s'):format(c.field, c.declared)
      before[#before + 1], theirs[#theirs + 1] = c.lua_set, c.python_set
    end
    local head = ('rule{ id = "r%d", title = "R", level = "low", dataset = "d", match = '):format(i)
    ours[#ours + 1] = ("do\n%s\nout[%d] = %sfunction(r)\n  return %s\nend }\nend"):format(table.concat(before, "\n"), i, head,
      table.concat(lua, " and "))
    shapes[#shapes + 1] = ("%s{ %s } },"):format(head, table.concat(shape, ", "))
    theirs[#theirs + 1] = ("def r%d(r):\n    return %s\nRULES.append((%q, r%d))"):format(i, table.concat(python, " and "), "r" .. i, i)
  end
  ours[#ours + 1] = "return out"
  shapes[#shapes + 1] = "}"
  write(folder .. "/function.lua", ours)
  write(folder .. "/declared.lua", shapes)
  write(folder .. "/rules.py", theirs)
  local lines = {}
  for i = 1, records do
    local v = {}
    for j, field in ipairs(VALUES) do v[j] = one(field[2]) end
    lines[i] = ('{"id":"%08x","email":"user%d@%s","url":"https://s%d.%s/login?next=/","severity":"%s","domain":"%s","country":"%s",'
      .. '"username":"name%d","password":"pass%d","leakedAt":"2026-01-01T00:00:%02dZ","tags":["a","b","c"],"cookies":%d,"risk":%d,'
      .. '"source":{"type":"%s","name":"%s","age":%d,"malware":null},"machine":{"os":"%s","ip":"10.0.0.%d","hostname":"PC-%d"}}')
      :format(i, random(30000), v[4], random(30000), v[4], v[1], v[4], v[5], random(9999), random(9999), i % 60, random(1000), random(100),
        v[2], v[6], random(365), v[3], random(255), random(9999))
  end
  write(folder .. "/records.jsonl", lines)
end

local function run(folder, way)
  local core = require "defendis.core"
  local file = require "defendis.pipeline.file"
  local page_work = require "defendis.pipeline.page"
  local f <close> = assert(io.open(("%s/%s.lua"):format(folder, way)))
  local set = assert(require("defendis.rules").load({ { name = "rules.lua", text = f:read "a" } }, file.host()))
  local source <close> = assert(io.open(folder .. "/records.jsonl"))
  local out <close> = assert(io.open(("%s/%s"):format(folder, way), "w"))
  local results, fresh, lines = page_work.new(), {}, {}
  local function flush()
    local page <close> = assert(core.json.page('{"data":[' .. table.concat(lines, ",", 1, #lines) .. "]}"))
    for i = 1, page:len() do
      fresh[i] = fresh[i] or {}
      local _, id, time = page_work.identify(page, i, "source", { id = "id", time = "leakedAt" })
      fresh[i].index, fresh[i].id, fresh[i].time = i, id, time
    end
    page_work.clear(results)
    page_work.run(set, "d", page, fresh, 1, page:len(), results)
    for _, finding in ipairs(results.found) do out:write(finding.rule.id, " ", finding.evidence[1].id, "\n") end
    for message in pairs(results.faults) do error(message) end
    lines = {}
  end
  for line in source:lines() do
    lines[#lines + 1] = line
    if #lines == 1000 then flush() end
  end
  if lines[1] then flush() end
end

if arg[1] == "make" then
  make(math.tointeger(tonumber(arg[2])), math.tointeger(tonumber(arg[3])), arg[4])
else
  run(arg[2], arg[3])
end
