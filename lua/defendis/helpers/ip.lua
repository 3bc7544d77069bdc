-- ip.lua: IP addresses and networks.
--
--   local own = cidr.list{ "10.0.0.0/8", "2001:db8::/32" }
--   own:contains("10.1.2.3") -> true;  false and why for what is no address
--
-- An IPv4 address written as IPv6 (::ffff:10.1.2.3) is that IPv4 address. Octets with a leading zero are refused: programs
-- disagree on what they mean.
local trim = require "defendis.helpers.trim"

local ip = {}

local LONGEST <const> = 64

local function parse_v4(text)
  local parts = { text:match("^(%d%d?%d?)%.(%d%d?%d?)%.(%d%d?%d?)%.(%d%d?%d?)$") }
  if not parts[4] then return nil end
  local value = 0
  for _, part in ipairs(parts) do
    if #part > 1 and part:byte() == 48 or tonumber(part) > 255 then return nil end
    value = value << 8 | math.tointeger(tonumber(part))
  end
  return value
end

-- Groups of 16 bits of one side of "::", appended to `out`; false when one is none.
local function groups_of(text, out)
  if text == "" then return true end
  for part in (text .. ":"):gmatch("([^:]*):") do
    if not part:find("^%x%x?%x?%x?$") then return false end
    out[#out + 1] = tonumber(part, 16)
  end
  return true
end

local function parse_v6(text)
  local head, v4 = text:match("^(.*:)(%d+%.%d+%.%d+%.%d+)$")
  if v4 then
    local value = parse_v4(v4)
    if not value then return nil end
    text = ("%s%x:%x"):format(head, value >> 16, value & 0xffff)
  end
  local left, right = text:match("^(.-)::(.*)$")
  local groups, tail = {}, {}
  if not groups_of(left or text, groups) or right and not groups_of(right, tail) then return nil end
  local missing = 8 - #groups - #tail
  if left and missing < 1 or not left and missing ~= 0 then return nil end
  for _ = 1, missing do groups[#groups + 1] = 0 end
  table.move(tail, 1, #tail, #groups + 1, groups)
  local hi, lo = 0, 0
  for i = 1, 4 do hi, lo = hi << 16 | groups[i], lo << 16 | groups[i + 4] end
  return hi, lo
end

--- Family (4 or 6) and the address as two integers of 64 bits, or nil. A zone ("%eth0") is dropped.
function ip.parse(text)
  if type(text) ~= "string" or #text > LONGEST then return nil end
  text = trim(text)
  local value = parse_v4(text)
  if value then return 4, 0, value end
  if not text:find(":", 1, true) then return nil end
  local hi, lo = parse_v6((text:gsub("%%[%w_.-]+$", "")))
  if not hi then return nil end
  if hi == 0 and lo >> 32 == 0xffff then return 4, 0, lo & 0xffffffff end
  return 6, hi, lo
end

-- The address with all but its first `bits` bits off, as a key.
local function masked(family, hi, lo, bits)
  if family == 4 then return bits == 0 and 0 or lo >> 32 - bits << 32 - bits end
  if bits <= 64 then return ("%x:0"):format(bits == 0 and 0 or hi >> 64 - bits << 64 - bits) end
  return ("%x:%x"):format(hi, lo >> 128 - bits << 128 - bits)
end

-- Family, bits and key of "10.0.0.0/8" (or one address), and whether no bit behind the network is set; or nil and why.
local function network(text)
  local shown = type(text) == "string" and '"' .. text:sub(1, LONGEST):gsub("%c", "?") .. '"' or "a " .. type(text)
  local address, bits = (type(text) == "string" and text or ""):match("^([^/]+)/?(%d*)$")
  local family, hi, lo = ip.parse(address)
  if not family or text:sub(-1) == "/" then return nil, 'a network such as "10.0.0.0/8" expected, got ' .. shown end
  local most = family == 4 and 32 or 128
  bits = bits == "" and most or #bits <= 3 and math.tointeger(tonumber(bits)) or most + 1
  -- written as IPv6, counted as IPv6
  if family == 4 and address:find(":", 1, true) and text:find("/", 1, true) then bits = bits - 96 end
  if bits < 0 or bits > most then return nil, ("a network of 0 to %d bits expected, got %s"):format(most, shown) end
  local key = masked(family, hi, lo, bits)
  return family, bits, key, key == masked(family, hi, lo, most)
end

local list = {}
list.__index = list
list.__metatable = false
list.__name = "defendis.cidr"

--- Whether the address is in one of the networks; false and why when it is no address.
function list:contains(address)
  local family, hi, lo = ip.parse(address)
  if not family then return false, "not an IP address" end
  for bits, keys in pairs(self[family]) do
    if keys[masked(family, hi, lo, bits)] then return true end
  end
  return false
end

local function new() return setmetatable({ [4] = {}, [6] = {} }, list) end

local function add(to, text)
  local family, bits, key, exact = network(text)
  if not family then return nil, bits end
  local keys = to[family][bits] or {}
  to[family][bits], keys[key] = keys, true
  return true, exact
end

--- A list of one network, and whether no bit behind the network is set; or nil and why.
function ip.network(text)
  local out = new()
  local ok, exact = add(out, text)
  return ok and out, exact
end

local function compile(networks, name)
  local out = new()
  for i, text in ipairs(networks) do
    local ok, why = add(out, text)
    if not ok then error(("%s: entry %d: %s"):format(name, i, why), 3) end
  end
  return out
end

--- The helper `cidr`. Networks that are none raise: the author of a rule wrote them.
function ip.cidr()
  local last, compiled
  return {
    list = function(networks)
      if type(networks) ~= "table" then error("cidr.list: a list of networks expected, got a " .. type(networks), 2) end
      return compile(networks, "cidr.list")
    end,
    match = function(address, networks)
      if type(networks) == "string" then
        if last ~= networks then last, compiled = networks, compile({ networks }, "cidr.match") end
        return compiled:contains(address)
      end
      if type(networks) ~= "table" then error("cidr.match: a network or a list of them expected, got a " .. type(networks), 2) end
      if networks.contains == list.contains then return networks:contains(address) end
      return compile(networks, "cidr.match"):contains(address)
    end,
  }
end

return ip
