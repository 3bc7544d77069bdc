-- stix.lua: an alert as a STIX 2.1 bundle: the report, who made it, what was observed; of a ransomware post also group and victim.
local time = require "defendis.time"

-- Section 2.9 for observables; a producer's own for all else.
local SCO_NAMESPACE <const> = "00abedb4-aa42-466c-9c01-fed23315a9b7"
local NAMESPACE <const> = "9c8f1f0a-60a3-5d63-9f6e-2f8c1d0be7a4"
local EPOCH <const> = "2026-01-01T00:00:00.000Z"

-- The specification's own object, to the letter (section 7.2.1.4).
local TLP_AMBER <const> = { type = "marking-definition", spec_version = "2.1",
  id = "marking-definition--f88d31f6-486f-44da-b317-01333bde0b82",
  created = "2017-01-20T00:00:00.000Z", definition_type = "tlp", name = "TLP:AMBER", definition = { tlp = "amber" } }

local function stamp(ms) return ("%s.%03dZ"):format(time.format(ms // 1000 * 1000):sub(1, -2), ms % 1000) end

-- A string as RFC 8785 writes it.
local ESCAPES = { ['"'] = '\\"', ["\\"] = "\\\\", ["\b"] = "\\b", ["\f"] = "\\f", ["\n"] = "\\n", ["\r"] = "\\r", ["\t"] = "\\t" }
local function quoted(text)
  return '"' .. text:gsub('[%c"\\]', function(c)
    if c == "\127" then return c end
    return ESCAPES[c] or ("\\u%04x"):format(c:byte())
  end) .. '"'
end

local Bundle = {}
Bundle.__index = Bundle

-- Adds an object once; returns its id.
function Bundle:add(object)
  if not self.known[object.id] then
    self.known[object.id] = true
    self.objects[#self.objects + 1] = object
  end
  return object.id
end

-- identity: what section 2.9 takes into the id, as canonical JSON.
function Bundle:observable(kind, identity, object)
  object.type, object.spec_version, object.id = kind, "2.1", kind .. "--" .. self.host.uuid5(SCO_NAMESPACE, identity)
  return self:add(object)
end

function Bundle:domain(kind, key, at, object)
  object.type, object.spec_version, object.id = kind, "2.1", kind .. "--" .. self.host.uuid5(NAMESPACE, kind .. "\0" .. key)
  object.created, object.modified = at, at
  object.created_by_ref = self.producer
  object.object_marking_refs = self.host.array{ TLP_AMBER.id }
  return self:add(object)
end

local SIMPLE = { email = "email-addr", url = "url", domain = "domain-name" }

local function observed(self, a)
  local refs = {}
  local function value(kind, text) refs[#refs + 1] = self:observable(kind, '{"value":' .. quoted(text) .. "}", { value = text }) end
  for _, o in ipairs(a.observables) do
    if SIMPLE[o.kind] then value(SIMPLE[o.kind], o.value) end
    if o.kind == "ip" then value(o.value:find ":" and "ipv6-addr" or "ipv4-addr", o.value) end
    if o.kind == "user" then
      refs[#refs + 1] = self:observable("user-account", '{"account_login":' .. quoted(o.value) .. "}", { account_login = o.value })
    end
    if o.kind == "file" then
      local hash = a.hash and #a.hash == 64 and a.hash
      local front = hash and '{"hashes":{"SHA-256":' .. quoted(hash) .. '},"name":' or '{"name":'
      refs[#refs + 1] = self:observable("file", front .. quoted(o.value) .. "}",
        { name = o.value, hashes = hash and { ["SHA-256"] = hash } or nil })
    end
  end
  return refs
end

local function ransomware(self, a, at, refs)
  if not (a.ransomware and a.actor) then return end
  local group = self:domain("intrusion-set", a.actor:lower(), EPOCH, { name = a.actor })
  refs[#refs + 1] = group
  if not a.domain then return end
  local victim = self:domain("identity", "victim\0" .. a.domain, EPOCH, { name = a.domain, identity_class = "organization" })
  refs[#refs + 1] = victim
  refs[#refs + 1] = self:domain("relationship", group .. victim, at, { relationship_type = "targets", source_ref = group,
    target_ref = victim })
end

local function add(self, a)
  local at, refs = stamp(a.time), {}
  local seen = observed(self, a)
  if seen[1] then
    refs[1] = self:domain("observed-data", a.id, at, { first_observed = stamp(a.from), last_observed = stamp(a.to),
      number_observed = math.max(1, math.min(a.total, 999999999)), object_refs = self.host.array(seen) })
  end
  ransomware(self, a, at, refs)
  if not refs[1] then refs[1] = self.producer end
  local source = { source_name = "defendis", external_id = a.id }
  local references = { source }
  for _, id in ipairs(a.techniques) do
    references[#references + 1] = { source_name = "mitre-attack", external_id = id }
  end
  self:domain("report", a.id, at, { name = a.title, published = at, object_refs = self.host.array(refs),
    report_types = self.host.array{ a.class_uid == 5021 and "indicator" or "observed-data" },
      labels = a.tags[1] and self.host.array{ table.unpack(a.tags) } or nil,
    external_references = self.host.array(references), description = a.level and "Severity " .. a.level .. ", records " .. a.total or nil })
end

--- The bundle of one alert, or of more.
return function(alerts, host)
  if alerts.id then alerts = { alerts } end
  local self = setmetatable({ host = host, objects = {}, known = {} }, Bundle)
  self:add(TLP_AMBER)
  local id = "identity--" .. host.uuid5(NAMESPACE, "producer")
  self.producer = self:add{ type = "identity", spec_version = "2.1", id = id, created = EPOCH, modified = EPOCH, name = "defendis",
    identity_class = "system" }
  local ids = {}
  for i, a in ipairs(alerts) do
    add(self, a)
    ids[i] = a.id
  end
  return { type = "bundle", id = "bundle--" .. host.uuid5(NAMESPACE, table.concat(ids, "\0")), objects = host.array(self.objects) }
end
