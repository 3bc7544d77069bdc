-- workspace.lua: what the API key may see: watchlist groups, their items, quotas and the state of the bill.
local catalog = require "defendis.catalog"

local workspace = {}
workspace.__index = workspace

local QUOTA_METRIC = { domain = "domains", keyword = "keywords", bin = "bins" }
local CREATED = "2026-01-01T00:00:00Z"

local INITIAL = {
  domain = { "acme.example", "acme-labs.example", "globex.example" },
  bin = { "411111", "555555" },
  executive = { "anna.keller@acme.example", "hugo.moreau@globex.example" },
  keyword = { "acme confidential", "project atlas" },
  assets = { "vpn.acme.example", "203.0.113.10" },
  ransom = { "acme" },
}

local SHAPE = {
  domain = "^[%w][%w%-]*%.[%w%-%.]*[%w]$",
  bin = "^%d%d%d%d%d%d%d?%d?$",
  executive = "^[%w%._%+%-]+@[%w][%w%.%-]*$",
}

--- options: limits = {domains =, keywords =, bins =}, unpaid = the reason why billing blocks writes, or nil.
function workspace.new(options)
  local self = setmetatable({ limits = options.limits, unpaid = options.unpaid, groups = {}, items = {}, last_id = 0 },
    workspace)
  local group = self:add_group{ name = "Default", description = "Everything we own" }
  for kind in pairs(catalog.kinds) do self.items[kind] = {} end
  for _, kind in ipairs{ "domain", "bin", "executive", "keyword", "assets", "ransom" } do
    for _, value in ipairs(INITIAL[kind]) do
      self:add_item(kind, { [catalog.kinds[kind]] = value, watchlistid = group.id })
    end
  end
  return self
end

local function next_id(self, prefix)
  self.last_id = self.last_id + 1
  return ("%s-%06d"):format(prefix, self.last_id)
end

-- Only plain values are kept, so that an item can be written back whatever was sent.
local function merge(into, fields)
  for key, value in pairs(fields) do
    local kind = type(value)
    if type(key) == "string" and key ~= "id" and key ~= "createdAt"
      and (kind == "string" or kind == "boolean" or kind == "number" and value - value == 0) then
      into[key] = value
    end
  end
  return into
end

local function find(list, id)
  for i, entry in ipairs(list) do if entry.id == id then return entry, i end end
end

local function remove(list, ids)
  local removed = 0
  for _, id in ipairs(ids) do
    local _, at = find(list, id)
    if at then
      table.remove(list, at)
      removed = removed + 1
    end
  end
  return removed
end

local function check_value(self, kind, fields, own_id)
  local key = catalog.kinds[kind]
  local value = fields[key]
  if type(value) ~= "string" or value == "" or #value > 253 then return ("Missing required field: %s"):format(key) end
  if SHAPE[kind] and not value:find(SHAPE[kind]) then return ("Invalid %s"):format(key) end
  for _, item in ipairs(self.items[kind]) do
    if item[key]:lower() == value:lower() and item.id ~= own_id then return "Already in the watchlist: " .. key end
  end
  if fields.watchlistid ~= nil and not find(self.groups, fields.watchlistid) then return "Unknown watchlistid" end
end

--- Adds a group. group, or nil and the reason for a 400.
function workspace:add_group(fields)
  if type(fields.name) ~= "string" or fields.name == "" then return nil, "Missing required field: name" end
  local group = merge({ id = next_id(self, "watchlist"), createdAt = CREATED }, fields)
  table.insert(self.groups, group)
  return group
end

--- Changes a group. group; nil, reason; nil when there is none.
function workspace:update_group(id, fields)
  local group = find(self.groups, id)
  if not group then return nil end
  if fields.name ~= nil and (type(fields.name) ~= "string" or fields.name == "") then return nil, "Invalid name" end
  return merge(group, fields)
end

--- Deletes groups with their items. The number of groups that were there.
function workspace:delete_groups(ids)
  local removed = remove(self.groups, ids)
  for kind, list in pairs(self.items) do
    local kept = {}
    for _, item in ipairs(list) do if find(self.groups, item.watchlistid) then kept[#kept + 1] = item end end
    self.items[kind] = kept
  end
  return removed
end

--- Adds an item. item; nil, reason; nil, nil, quota = {metric, used, limit} when it is reached.
function workspace:add_item(kind, fields)
  local reason = check_value(self, kind, fields)
  if reason then return nil, reason end
  local metric = QUOTA_METRIC[kind]
  if metric and #self.items[kind] >= self.limits[metric] then
    return nil, nil, { metric = metric, used = #self.items[kind], limit = self.limits[metric] }
  end
  local group = self.groups[1]
  local item = merge({ id = next_id(self, kind), createdAt = CREATED, watchlistid = group and group.id }, fields)
  table.insert(self.items[kind], item)
  return item
end

--- Changes an item. item; nil, reason; nil when there is none.
function workspace:update_item(kind, id, fields)
  local item = find(self.items[kind], id)
  if not item then return nil end
  local merged = merge(merge({}, item), fields)
  local reason = check_value(self, kind, merged, id)
  if reason then return nil, reason end
  return merge(item, fields)
end

--- Deletes items. The number of those that were there.
function workspace:delete_items(kind, ids) return remove(self.items[kind], ids) end

--- Whether billing stands in the way of adding an item of this kind.
function workspace:blocked(kind) return QUOTA_METRIC[kind] ~= nil and self.unpaid end

--- Whether a value is watched.
function workspace:watches(kind, value)
  local key = catalog.kinds[kind]
  for _, item in ipairs(self.items[kind]) do if item[key]:lower() == value:lower() then return true end end
  return false
end

--- The watched values of a kind.
function workspace:values(kind)
  local list, key = {}, catalog.kinds[kind]
  for i, item in ipairs(self.items[kind]) do list[i] = item[key]:lower() end
  return list
end

--- Whether records of this input may be seen. An e-mail is in scope with its domain or as an executive's.
function workspace:allows(input, value)
  if input ~= "email" then return self:watches(input, value) end
  local domain = value:match("@([^@]+)$")
  return self:watches("executive", value) or (domain ~= nil and self:watches("domain", domain))
end

return workspace
