-- helper.lua: Sigma texts for the sigma specs, under a host without the core.
local core = require "defendis.core"
local rules = require "defendis.rules"
local host = require("rules.helper").host

local helper = {}

helper.null = require("cjson").null
helper.CORE = { native = { regex = core.regex.new } } -- what `re` needs of a host

--- Loads texts as a.yml, b.yml, ...; one that begins with "return" is Lua. host: more fields for the host, or nil.
function helper.load(texts, more)
  local sources, h = {}, host()
  for i, text in ipairs(texts) do
    sources[i] = { name = string.char(96 + i) .. (text:find("^return") and ".lua" or ".yml"), text = text }
  end
  for k, v in pairs(more or {}) do h[k] = v end
  return rules.load(sources, h)
end

--- A rule around a detection that is given with no indentation.
function helper.rule(detection, more)
  return "title: T\nid: r\nlogsource: {product: defendis, service: d}\n" .. (more or "") .. "detection:\n  "
    .. detection:gsub("\n(.)", "\n  %1")
end

--- What the detection says of a record.
function helper.match(detection, record, more)
  local set = assert(helper.load({ helper.rule(detection) }, more))
  local hit = set.by_id.r.match(record)
  assert(type(hit) == "boolean", type(hit))
  return hit
end

--- The message with which texts are refused.
function helper.refused(...)
  local set, err = helper.load{ ... }
  assert(set == nil, "these should have been refused")
  assert(err.kind == "config" and not err.message:find("\n"), err.message)
  return err.message
end

return helper
