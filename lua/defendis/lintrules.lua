-- lintrules.lua: what is wrong with rules that load, or may be. A comment `-- lint: ignore NAME` on the line silences one.
local core = require "defendis.core"
local catalog = require "defendis.catalog"
local check = require "defendis.check"
local lintfields = require "defendis.lintfields"
local lintmaps = require "defendis.lintmaps"
local lintsigma = require "defendis.lintsigma"
local locate = require "defendis.rules.locate"
local ruletest = require "defendis.ruletest"

local HOUR_MS <const> = 3600000

local lintrules = {}

--- name -> severity. An info fails nothing unless that is asked for.
lintrules.NAMES = {
  ["load"] = "error", ["duplicate-id"] = "error", ["unknown-field"] = "warning", ["unknown-dataset"] = "warning",
  ["slow-pattern"] = "warning", ["unused-rule"] = "warning", ["short-suppress"] = "warning", ["missing-test"] = "warning",
  ["unused-filter"] = "warning",
  ["bad-tag"] = "warning", ["bad-date"] = "warning", ["bad-ignore"] = "warning", ["secret-text"] = "warning", ["unknown-value"] = "warning",
  ["left-out"] = "info", ["missing-description"] = "info",
  ["missing-author"] = "info", ["missing-date"] = "info", ["missing-tag"] = "info",
}

local TACTICS = {}
for name in ([[reconnaissance resource-development initial-access execution persistence privilege-escalation defense-evasion
  credential-access discovery lateral-movement collection command-and-control exfiltration impact]]):gmatch "%S+" do
  TACTICS[name] = true
end

local PATTERN_FUNCTIONS = { find = true, match = true, gmatch = true, gsub = true }

-- Pattern text as items {class, repeats}; what stands for a place only is left out.
local function items_of(pattern)
  local out, i = {}, pattern:sub(1, 1) == "^" and 2 or 1
  while i <= #pattern do
    local c = pattern:sub(i, i)
    local class = c
    if c == "%" and pattern:find("^%%[bf]", i) then
      class = pattern:match("^%%b..", i) or pattern:match("^%%f%[%^?%]?[^%]]*%]", i) or pattern:sub(i, i + 1)
    elseif c == "%" then
      class = pattern:sub(i, i + 1)
    elseif c == "[" then
      class = pattern:match("^%[%^?%]?[^%]]*%]", i) or c
    end
    i = i + #class
    local quantifier = pattern:match("^[*+?-]", i) or ""
    i = i + #quantifier
    if c ~= "(" and c ~= ")" then out[#out + 1] = { class = class, quantifier = quantifier, repeats = quantifier:find "^[*+-]" ~= nil } end
  end
  return out
end

local function is_wide(class) return class == "." or class:find "^%[%^" ~= nil or class:find "^%%%u" ~= nil end

--- Why a pattern may take very long on text that does not match, or nil.
function lintrules.slow(pattern)
  local wide, before = 0, nil
  for _, item in ipairs(items_of(pattern)) do
    if item.repeats then
      if is_wide(item.class) then wide = wide + 1 end
      if before and (before == item.class or is_wide(before) or is_wide(item.class)) then
        return "two repetitions follow each other and can share text in every way"
      end
      before = item.class
    elseif item.quantifier ~= "?" then
      before = nil
    end
  end
  if wide >= 3 then return ("%d wide repetitions in one pattern"):format(wide) end
end

local function lint_patterns(tokens, say)
  local stack = {}
  for i, token in ipairs(tokens) do
    local tok = token[1]
    if tok == "(" then
      stack[#stack + 1] = PATTERN_FUNCTIONS[tokens[i - 1] and tokens[i - 1][1]] or false
    elseif tok == ")" then
      stack[#stack] = nil
    elseif tok == "'" and (stack[#stack] or tokens[i - 1] and PATTERN_FUNCTIONS[tokens[i - 1][1]]) then
      local plain = tokens[i + 4] and tokens[i + 1][1] == "," and tokens[i + 3][1] == "," and tokens[i + 4][1] == "true"
      local why = not plain and lintrules.slow(token.string)
      if why then say("slow-pattern", token.line, '"%s": %s; anchor it, or write [^x]* up to the next x', token.string, why) end
    end
  end
end

-- Is this path, or for a part of a record its end, a field of any of the datasets? Returns true, or nil and what to say.
local function is_known(known, read)
  local fields, where, names
  for dataset in pairs(read.datasets) do
    local have, source = known(dataset)
    if not have then return true end
    if have[read.path] then return true end
    for path in pairs(read.part and have or {}) do
      if path:sub(-#read.path - 1) == "." .. read.path then return true end
    end
    fields, where, names = have, source, dataset
  end
  if not fields then return true end
  local near = check.nearest(read.path, fields)
  return nil, ('no record of %s has "%s"%s (known from %s)'):format(names, read.path, near and (', nearest "%s"'):format(near) or "", where)
end

local function line_of(def, ...)
  if def.locate then return def.locate{ ... } end
  return locate.line(def.text, def.line, def.kind, { ... }) or def.line
end

local function lint_metadata(def, say)
  local o = def.options
  for _, key in ipairs{ "description", "author", "date" } do
    if not o[key] or o[key] == "" then say("missing-" .. key, def.line, "%s has no %s", o.title, key) end
  end
  if o.date and not core.api.days((o.date:gsub("/", "-"))) then
    say("bad-date", line_of(def, "date"), '"%s" is not a date such as 2026-01-31', o.date)
  end
  local attack
  for i, tag in ipairs(o.tags or {}) do
    local rest = tag:match "^attack%.(.+)$"
    attack = attack or rest
    local good = not rest and tag:find "^[%l%d_-]+%.[%l%d._-]+$" or rest and (rest:find "^t%d%d%d%d$" or rest:find "^t%d%d%d%d%.%d%d%d$"
      or rest:find "^[gs]%d%d%d%d$" or TACTICS[(rest:gsub("_", "-"))])
    if not good then
      local near = rest and not rest:find "%d" and check.nearest(rest, TACTICS)
      say("bad-tag", line_of(def, "tags", i), '"%s" is not of a form such as attack.t1078, attack.t1078.004 or attack.%s', tag,
        near or "initial-access")
    end
  end
  if not attack and def.kind ~= "filter" then say("missing-tag", def.line, "%s has no ATT&CK tag such as attack.t1078", o.title) end
end

-- Fields that a definition names as data.
local function lint_named(def, set, known, say)
  local o, datasets = def.options, {}
  local function look(path, ...)
    local ok, what = is_known(known, { path = path, datasets = datasets })
    if not ok then say("unknown-field", line_of(def, ...), "%s", what) end
  end
  local function add(item)
    if item.dataset then datasets[item.dataset] = true end
    for _, base in ipairs(item.bases or {}) do add(base) end
  end
  if o.dataset and not catalog.dataset(o.dataset) and not known(o.dataset) then
    local _, err = catalog.dataset(o.dataset)
    say("unknown-dataset", line_of(def, "dataset"), "%s: no record will come", err.message)
  end
  if def.kind == "normalizer" then
    datasets[o.dataset] = true
    for _, key in ipairs{ "time", "id_field" } do
      if o[key] then look(o[key], key) end
    end
  elseif def.kind == "correlation" and not o.aliases then
    add(set.by_id[def.id])
    for i, path in ipairs(o.group_by or {}) do look((path:gsub("^%?", "")), "group_by", i) end
    local field = type(o.condition) == "table" and o.condition.field or nil
    for _, path in ipairs(type(field) == "table" and field or { field }) do look(path, "condition", "field") end
  end
end

-- A declarative map. The line of what it reads is the first one from the definition on that has this path as a text.
local function lint_map(def, known, tokens, say)
  local o, read = def.options, def.compiled.read
  lintmaps.constants(o, core.json.null, function(at, message) say("unknown-value", line_of(def, table.unpack(at)), "%s", message) end)
  local have, source = known(o.dataset)
  if not have then return end
  for _, path in ipairs(lintmaps.reads(read)) do
    local ok, what = is_known(known, { path = path, datasets = { [o.dataset] = true } })
    local line
    for _, token in ipairs(not ok and tokens or {}) do
      local s = token.string and token.string:gsub("^%$%.", ""):gsub("%[%d+%]", "")
      if not line and s and token.line >= def.line and (s == path or path:sub(-#s - 1) == "." .. s) then line = token.line end
    end
    if not ok then say("unknown-field", line or line_of(def, "map"), "%s", what) end
  end
  local left = lintmaps.left_out(read, have)
  if #left == 0 then return end
  say("left-out", line_of(def, "map"), "%s does not read %s (known from %s)", def.id, table.concat(left, ", "), source)
end

local function lint_use(def, set, say)
  if def.targets == 0 then say("unused-filter", line_of(def, "rules"), "%s is in front of no rule", def.options.title) end
  local item = set.by_id[def.id]
  if def.kind ~= "rule" then return end
  if #item.members == 0 and (def.options.generate == false or not item.alerts) then
    say("unused-rule", line_of(def, "generate"), "no correlation counts %s%s", def.options.title,
      item.alerts and ', so "generate = false" does nothing: it alerts all the same' or " and it does not alert")
  end
  for _, member in ipairs(item.alerts and item.suppress and item.members or {}) do
    local c = member.c or member
    if c.timespan and item.suppress < c.timespan then
      say("short-suppress", line_of(def, "suppress"), "%s alerts again after %s, within one window (%g h) of %s, which counts it",
        def.options.title, def.options.suppress or "24h", c.timespan / HOUR_MS, c.title)
    end
  end
end

local function lint_definition(def, set, known, say)
  if def.kind ~= "normalizer" then lint_metadata(def, say) end
  lint_named(def, set, known, say)
  lint_use(def, set, say)
  local gap = ruletest.gap(def)
  if gap then say("missing-test", def.line, "%s", gap) end
end

-- Which names each line of a text silences; unknown ones are told.
local function ignored(text, say)
  local out, n = {}, 0
  for line in (text .. "\n"):gmatch "([^\n]*)\n" do
    n = n + 1
    for name in (line:match "[#-]%s*lint:%s*ignore%s+([%w%s,_-]+)" or ""):gmatch "[%w_-]+" do
      if not lintrules.NAMES[name] then say("bad-ignore", n, "%s", check.unknown(name, lintrules.NAMES, "name")) end
      out[n] = out[n] or {}
      out[n][name] = true
    end
  end
  return out
end

--- A fault that refuses the whole set, as one of the list that lintrules.run gives. err: from rules.load.
function lintrules.refused(err)
  local file, line, message = err.message:match "^(.-):(%d+): (.*)$"
  local name = err.message:find "is already used at" and "duplicate-id" or "load"
  return { file = file or "", line = math.tointeger(tonumber(line)) or 1, name = name, severity = lintrules.NAMES[name],
    message = message or err.message }
end

--- Looks at rules. sources: array of {name, text}; set: what rules.load made of them; known: from lintfields.known. Returns an array of
-- {file, line, name, severity, message} by file and line.
function lintrules.run(sources, set, known)
  local out = {}
  for _, source in ipairs(sources) do
    local found, defs = {}, {}
    local function say(name, line, ...)
      found[#found + 1] = { file = source.name, line = line, name = name, severity = lintrules.NAMES[name], message = string.format(...) }
    end
    for _, def in ipairs(set.definitions) do
      if def.file == source.name then
        defs[#defs + 1] = def
        lint_definition(def, set, known, say)
      end
    end
    local is_sigma = source.name:find "%.ya?ml$"
    for _, def in ipairs(set.filters) do
      if def.file == source.name and def.sigma then lint_use(def, set, say) end
      if def.file == source.name and not def.sigma then
        defs[#defs + 1] = def
        lint_definition(def, set, known, say)
      end
    end
    for _, list in ipairs(is_sigma and { defs, set.filters } or {}) do
      for _, def in ipairs(list) do
        local hidden = def.file == source.name and def.reads and def.options.dataset and set.host.hidden(def.options.dataset)
        if def.file == source.name then lintsigma.run(def, hidden, function(read) return is_known(known, read) end, say) end
      end
    end
    local reads, tokens = lintfields.reads(is_sigma and "" or source.text, defs)
    for _, def in ipairs(defs) do
      if def.kind == "normalizer" and def.compiled.read then lint_map(def, known, tokens, say) end
    end
    for _, read in ipairs(reads) do
      local ok, what = is_known(known, read)
      if not ok then say("unknown-field", read.line, "%s", what) end
    end
    lint_patterns(tokens, say)
    local silent = ignored(source.text, say)
    table.sort(found, function(a, b)
      if a.line ~= b.line then return a.line < b.line end
      return a.name .. a.message < b.name .. b.message
    end)
    for _, f in ipairs(found) do
      if not (silent[f.line] and silent[f.line][f.name]) then out[#out + 1] = f end
    end
  end
  return out
end

return lintrules
