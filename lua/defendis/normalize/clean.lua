-- clean.lua: what of a record may go into a document as it is: never a password, a token or a card number, under whatever name.
local secrets = require "defendis.helpers.secrets"
local shapes = require "defendis.helpers.shapes"

local clean = {}

local WHOLE = {}
for _, name in ipairs(secrets.WHOLE) do WHOLE[name] = true end
local verdicts = {} -- by name; records have few

--- Does this name belong to a secret?
function clean.is_secret(name)
  if type(name) ~= "string" then return false end
  if verdicts[name] == nil then
    local plain = name:lower():gsub("[^%w]", "")
    local found = WHOLE[plain] or false
    for _, part in ipairs(secrets.PARTS) do found = found or plain:find(part, 1, true) ~= nil end
    verdicts[name] = found
  end
  return verdicts[name]
end

-- ISO/IEC 7812: 13 to 19 digits whose check digit is right and whose first ones are a card network's; times in milliseconds are none.
local function is_card(digits)
  local starts = #digits == 13 and "^4" or #digits < 16 and "^3" or "^[2-6]"
  if #digits < 13 or #digits > 19 or not digits:find(starts) then return false end
  return shapes.luhn(digits)
end

--- A text without card numbers.
function clean.text(text)
  if not text:find "%d[%d -]*%d%d%d%d" then return text end
  return (text:gsub("%f[%w]%d[%d -]+%d%f[%W]", function(run) return is_card((run:gsub("[ -]", ""))) and "[card number]" or nil end))
end

--- A URL without user and password, and without the values of parameters that are secrets.
function clean.url(url)
  url = url:gsub("^(%a[%w+.-]*://)[^/?#]*@", "%1")
  return clean.text((url:gsub("([?&;#]([%w_.%%-]+)=)([^&;#]*)", function(front, name, value)
    return value ~= "" and clean.is_secret(name) and front .. "[removed]" or nil
  end)))
end

local function scalar(v)
  if type(v) == "string" then return v:find "^%a[%w+.-]*://" and clean.url(v) or clean.text(v) end
  if (type(v) == "number" or type(v) == "userdata") and is_card((tostring(v):gsub("%.0$", ""))) then return "[card number]" end
  return v
end

--- A copy of a value of a record; null and secrets are left out, at any depth. host: {null, array}. taken: set of names that are left out
-- too, at the top. nil when nothing is left of a table.
function clean.copy(host, v, taken)
  if v == host.null then return nil end
  if type(v) ~= "table" then
    -- a value of the host that is no number is opaque for a reason
    if type(v) == "userdata" and not tostring(v):find "^%-?%d[%d.eE+-]*$" then return nil end
    return scalar(v)
  end
  local out = {}
  if v[1] ~= nil then
    for _, element in ipairs(v) do out[#out + 1] = clean.copy(host, element) end
    return out[1] ~= nil and host.array(out) or nil
  end
  for name, value in pairs(v) do
    if not clean.is_secret(name) and not (taken and taken[name]) then out[name] = clean.copy(host, value) end
  end
  return next(out) ~= nil and out or nil
end

return clean
