-- cidr.lua: networks of IPv4 and IPv6.
--
--   cidr.network(text) -> { hi, lo, bits, v6 } or nil; cidr.contains(network, text of an address) -> boolean
local cidr = {}

-- 32 bits, or nil. Leading zeros would be octal to some.
local function v4(text)
  local a, b, c, d = text:match("^(%d+)%.(%d+)%.(%d+)%.(%d+)$")
  if not a then return nil end
  local n = 0
  for _, part in ipairs{ a, b, c, d } do
    local byte = tonumber(part)
    if #part > 3 or byte > 255 or (#part > 1 and part:sub(1, 1) == "0") then return nil end
    n = n << 8 | byte
  end
  return n
end

-- The groups of 16 bits in a run of `a:b:c`, the last of which may be an IPv4 address; or nil.
local function groups(text)
  local out = {}
  if text == "" then return out end
  for part in (text .. ":"):gmatch("([^:]*):") do
    if part:find("^%x%x?%x?%x?$") then
      out[#out + 1] = tonumber(part, 16)
    else
      local n = #out < 7 and v4(part)
      if not n or text:sub(-#part) ~= part then return nil end
      out[#out + 1], out[#out + 2] = n >> 16, n & 0xFFFF
    end
  end
  return out
end

local function v6(text)
  local head, tail = text:match("^(.-)::(.*)$")
  local left, right = groups(head or text), groups(tail or "")
  if not left or not right or #left + #right > (head and 7 or 8) or (not head and #left ~= 8) then return nil end
  local hi, lo = 0, 0
  for i = 1, 8 do
    local group = left[i] or right[i - 8 + #right] or 0
    if i <= 4 then hi = hi << 16 | group else lo = lo << 16 | group end
  end
  return hi, lo
end

-- An address as two halves: of IPv4, and IPv4 written as IPv6, the second; or nil.
local function address(text)
  if #text > 45 then return nil end
  if not text:find(":", 1, true) then
    local n = v4(text)
    if n then return 0, n, false end
    return nil
  end
  local hi, lo = v6(text)
  if hi == 0 and lo and lo >> 32 == 0xFFFF then return 0, lo & 0xFFFFFFFF, false end
  return hi, lo, true
end

local function mask(bits) return bits <= 0 and 0 or bits >= 64 and -1 or ~(-1 >> bits) end

function cidr.network(text)
  local host, bits = text:match("^([^/]+)/(%d%d?%d?)$")
  local hi, lo, is_v6 = address(host or text)
  if not hi then return nil end
  local most = is_v6 and 128 or 32
  bits = bits and tonumber(bits) or most
  if bits > most then return nil end
  local hi_mask = is_v6 and mask(bits) or -1
  local lo_mask = is_v6 and mask(bits - 64) or mask(bits + 32)
  if hi & hi_mask ~= hi or lo & lo_mask ~= lo then return nil, "bits behind the network are set" end
  return { hi = hi, lo = lo, hi_mask = hi_mask, lo_mask = lo_mask, v6 = is_v6 }
end

function cidr.contains(network, text)
  local hi, lo, is_v6 = address(text)
  return hi ~= nil and is_v6 == network.v6 and hi & network.hi_mask == network.hi and lo & network.lo_mask == network.lo
end

return cidr
