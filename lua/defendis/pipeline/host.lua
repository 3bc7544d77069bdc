-- host.lua: what rules, which know nothing of the core, get of this program: the host of rules.load.
local core = require "defendis.core"
local catalog = require "defendis.catalog"
local check = require "defendis.check"
local sensitive = require "defendis.sensitive"
local time = require "defendis.time"

local host = {}

local function config(...) return nil, check.error("config", (...):format(select(2, ...))) end

--- The text of a file, or nil, err. most: bytes, or nil.
function host.read(path, most)
  local f, problem = io.open(path, "rb")
  if not f then return config("cannot read %s", problem) end
  local text = most and f:read(most + 1) or f:read("a") -- what is empty has no bytes to count
  f:close()
  if most and text and #text > most then return config("%s is longer than %d MiB", path, most >> 20) end
  if not text then return config("%s is not a file", path) end
  return text
end

-- A number that Lua has no value for may be grouped by, as its text; a sensitive value as its HMAC.
local function scalar(value)
  if type(value) ~= "userdata" or value == core.json.null then return nil end
  if core.sensitive.is(value) then return value:hmac() end
  return tostring(value)
end

-- The usual forms in C, all others as without it.
local function parse_time(text)
  local ms = core.api.time(text)
  if ms then return ms end
  return time.parse(text)
end

-- A file for a lookup; an empty one too.
local function read_table(path, most)
  local text, err = host.read(path, most)
  if not text then return nil, err.message end
  return text
end

local function encode(value) return core.json.encode(value, { sort_keys = true }) end

--- A compiled map, and the same as a function of a table.
function host.map(program)
  local made = assert(core.map.new(program))
  local buffer = core.json.buffer()
  return made, function(record)
    local page <close> = assert(core.json.page('{"data":[' .. assert(encode(record)) .. "]}"))
    buffer:reset()
    local ok, err = made:run(page, 1, buffer)
    if not ok then error(err.message, 0) end
    return assert(core.json.decode(buffer:text()))
  end
end

-- What the shipped normalizers may tell of a value.
local function protect(v)
  if not core.sensitive.is(v) then return nil end
  local is_card, last4 = pcall(v.last4, v)
  return { hmac = v:hmac(), last4 = is_card and last4 or nil }
end

local call = core.budget.new(10000000, 64 << 20) -- of a rule's function on one record

--- What the rules need from this program. o: options of the pipeline file, or nil.
function host.new(o)
  o = o or {}
  return { normalize = o.normalize, protect = protect, read = read_table, decode = core.json.decode, encode = encode, map = host.map,
    key_later = true, call = call,
    native = { ascii = core.names.ascii, registrable = core.names.registrable, regex = core.regex.new },
    uuid5 = core.hash.uuid5, null = core.json.null, next = core.json.next, array = core.json.array,
    scalar = scalar, parse_time = parse_time,
    sensitive = { list = sensitive.list }, example = function(name, record) return sensitive.example(name, record, o.sensitive) end,
    hidden = function(name) return catalog.find(name) and sensitive.names(name, o.sensitive or {}) end }
end

return host
