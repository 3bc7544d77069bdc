-- sensitive.lua: leaked passwords, tokens and card numbers: which fields hold them, under which key they are compared, who may read them.
--
-- A pipeline's `sensitive = {...}` is checked here and becomes, per dataset, the list that page:record takes. What a value in a rule
-- can do: src/bind/sensitive.c.
local core = require "defendis.core"
local catalog = require "defendis.catalog"
local check = require "defendis.check"
local secret = require "defendis.secret"
local time = require "defendis.time"

local sensitive = {}

sensitive.SPEC = {
  hmac_key = check.field(secret.check, "the key of the comparisons, 16 bytes at least (a random one in STORE.hmac-key)"),
  fields = check.field(check.list(check.text), "sensitive fields beside those of the catalog, in all datasets"),
  cards = check.field(check.list(check.text), "the same, for card numbers"),
  bare = check.field(check.list(check.text), "the same, for what can have few values, such as CVVs: no HMAC of it is told"),
  clear = check.field(check.list(check.text), "fields of the catalog that are not sensitive here"),
  grants = check.field(check.list(check.text), "ids of rules, filters and normalizers that may reveal"),
  scan = check.field(check.boolean, "mask card numbers within other texts", false),
}

local function join(list, more, clear)
  local out, left_out = {}, {}
  for _, name in ipairs(clear or {}) do left_out[name:lower()] = true end
  for _, name in ipairs(list or {}) do
    if not left_out[name:lower()] then out[#out + 1] = name end
  end
  return table.move(more or {}, 1, #(more or {}), #out + 1, out)
end

--- The list of a dataset for page:record; nil when it has no sensitive field; or nil, err. options: as SPEC; key: secret, or nil for a
-- random one; reveal: who decides, see core.sensitive.fields.
function sensitive.list_of(dataset, options, key, reveal)
  local entry = catalog.find(dataset) or {}
  local names, cards = join(entry.sensitive, options.fields, options.clear), join(entry.cards, options.cards, options.clear)
  local bare = join(entry.bare, options.bare, options.clear)
  if #names + #cards + #bare == 0 and not options.scan then return nil end
  return core.sensitive.fields{ names = names, cards = cards, bare = bare, key = key, reveal = reveal, scan = options.scan }
end

--- The names of a dataset's sensitive fields. options: as SPEC.
function sensitive.names(dataset, options)
  local entry, out = catalog.find(dataset) or {}, {}
  for kind, more in pairs{ sensitive = options.fields or {}, cards = options.cards or {}, bare = options.bare or {} } do
    for _, name in ipairs(join(entry[kind], more, options.clear)) do out[#out + 1] = name end
  end
  table.sort(out)
  return out
end

--- Says on stderr that an operator saw sensitive values. by: the command; what: the dataset or file.
function sensitive.note(by, what)
  local note = { event = "reveal", time = time.format(core.sys.wall_ms()), by = by, of = what, user = os.getenv "USER" }
  io.stderr:write(assert(core.json.encode(note, { sort_keys = true })), "\n")
end

-- Who may reveal, and what is written down of it: each time in the file, the first time of a kind on stderr. acting: who is at work.
local function audited(acting, grants, path)
  local granted, told = {}, {}
  for _, id in ipairs(grants or {}) do granted[id] = true end
  return function(field, why, hmac)
    local id = tostring(acting.id)
    if not granted[id] then
      error(('[%s] is not revealed: "%s" has no grant; add it to sensitive.grants in the pipeline file'):format(field, id), 3)
    end
    local note = { event = "reveal", time = time.format(core.sys.wall_ms()), by = id, dataset = acting.dataset, record = acting.record,
      field = field, why = why, hmac = hmac }
    local line = assert(core.json.encode(note, { sort_keys = true })) .. "\n"
    local ok, err = core.sensitive.append(path, line)
    if not ok then error(("[%s] is not revealed: the audit failed: %s"):format(field, err.message), 3) end
    local kind = id .. "\0" .. field .. "\0" .. why
    if not told[kind] then io.stderr:write(line) end
    told[kind] = true
    return true
  end
end

local function key_of(options, base)
  if options.hmac_key then return options.hmac_key end
  local path = base .. ".hmac-key"
  local ok, err = core.sensitive.key_file(path)
  if not ok then return nil, err end
  return secret.file(path)
end

-- An id stands in findings, files and the state as it is.
local function check_ids(set, dataset, list)
  local entry, normalizer = catalog.find(dataset) or {}, set:normalizer(dataset)
  for _, path in ipairs{ normalizer.id_field or entry.id_field or "id", normalizer.time or entry.time } do
    for name in path:gmatch "[^.]+" do
      if core.sensitive.matches(list, name) then
        return nil, check.error("config", ('%s: "%s" is sensitive, and what identifies a record is written everywhere; choose another '
          .. "id_field or time, or list it in sensitive.clear"):format(dataset, path))
      end
    end
  end
  return true
end

--- Gives a plan's rules the lists of its datasets. plan: with `sensitive` (see SPEC), `sensitive_base`: what the names of the key's and the
-- audit's file begin with. Its folder is there. Returns true, or nil, err.
function sensitive.guard(plan)
  local options, acting, hidden = plan.sensitive, {}, {}
  local key, reveal
  for _, dataset in ipairs(plan.datasets) do
    local list, err = sensitive.list_of(dataset, options) -- under a key of its own: is there anything to hide?
    local ok = not err
    if list then ok, err = check_ids(plan.set, dataset, list) end
    if ok and list then
      if not key then key, err = key_of(options, plan.sensitive_base) end
      reveal = reveal or audited(acting, options.grants, plan.sensitive_base .. ".audit.jsonl")
      if key then hidden[dataset], err = sensitive.list_of(dataset, options, key, reveal) end
    end
    if err then return nil, err end
  end
  if not key and plan.set:keyed() then
    local err
    key, err = key_of(options, plan.sensitive_base)
    if not key then return nil, err end
  end
  plan.set:hide(hidden, acting)
  plan.set:rekey(key)
  return true
end

--- Text of a record (or of a document) with what is sensitive masked; nil when it is not JSON. list: from list_of, or nil.
function sensitive.masked(text, list)
  local page = core.json.page('{"data":[' .. text .. "]}")
  if not page or page:len() ~= 1 then return nil end
  local record = page:record(1, list)
  return record ~= nil and core.json.encode(record, { sort_keys = true }) or nil
end

--- A record of a rule's test, as the pipeline would give it to the rule; everything may be revealed there.
function sensitive.example(dataset, record, options)
  local list, text = sensitive.list_of(dataset, options or {}, nil, function() return true end), core.json.encode(record)
  local page = list and text and core.json.page('{"data":[' .. text .. "]}")
  return page and page:len() == 1 and page:record(1, list) or record
end

local List = {}
List.__index = List
List.__metatable = false

--- Is the value one of the list's? Also list:contains(v) of what is no sensitive value, such as null: no.
function List:contains(v)
  return core.sensitive.is(v) and self.known[v:hmac()] == true
end

--- The list in a file: an HMAC in hexadecimal a line, as v:hmac() gives it; what follows a blank and lines that begin with # are
-- for people. Raises in the rule file's line. A relative path counts from the rule file.
function sensitive.list(path)
  if type(path) ~= "string" or path == "" then error("sensitive.list: a path expected", 2) end
  local folder = debug.getinfo(2, "S").source:match "^@(.*/)" or ""
  local f, problem = io.open(path:sub(1, 1) == "/" and path or folder .. path, "rb")
  if not f then error("sensitive.list: cannot read " .. problem, 2) end
  local known, n = {}, 0
  for line in f:lines() do
    n = n + 1
    local hmac = line:match "^%s*(%x+)"
    if hmac and #hmac == 64 then
      known[hmac:lower()] = true
    elseif not line:find "^%s*#" and line:find "%S" then
      f:close()
      error(("sensitive.list: %s:%d: 64 hexadecimal digits expected: openssl dgst -sha256 -hmac KEY"):format(path, n), 2)
    end
  end
  f:close()
  return setmetatable({ known = known }, List)
end

return sensitive
