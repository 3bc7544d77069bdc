-- shapes.lua: what a text is by its shape: kinds of password hashes, payment cards. Of values that no rule can read,
-- src/engine/sensitive.c says the same by prefix and length; the spec compares the names.
local trim = require "defendis.helpers.trim"

local shapes = {}

local SHORTEST_HASH <const>, LONGEST_HASH <const> = 26, 4096

local HEX = { [32] = "md5", [40] = "sha1", [56] = "sha224", [64] = "sha256", [96] = "sha384", [128] = "sha512" }

local B64 = "[%w./]"
-- pattern -> kind; the first that matches
local PREFIXED = {
  { "^%$2[abxy]?%$%d%d%$" .. B64:rep(53) .. "$", "bcrypt" },
  { "^%$argon2[id]d?%$v?=?%d*%$?[%w=,]+%$[%w+/=]+%$[%w+/=]+$", "argon2" },
  { "^%$[PH]%$" .. B64:rep(31) .. "$", "phpass" },
  { "^%$S%$" .. B64:rep(52) .. "$", "drupal7" },
  { "^%$1%$[^$]*%$" .. B64:rep(22) .. "$", "md5crypt" },
  { "^%$apr1%$[^$]*%$" .. B64:rep(22) .. "$", "apr1" },
  { "^%$5%$[^$]+%$" .. B64:rep(43) .. "$", "sha256crypt" },
  { "^%$5%$rounds=%d+%$[^$]*%$" .. B64:rep(43) .. "$", "sha256crypt" },
  { "^%$6%$[^$]+%$" .. B64:rep(86) .. "$", "sha512crypt" },
  { "^%$6%$rounds=%d+%$[^$]*%$" .. B64:rep(86) .. "$", "sha512crypt" },
  { "^%$y%$[%w./]+%$[%w./]*%$[%w./]+$", "yescrypt" },
  { "^%$7%$[%w./]+%$[%w./]+$", "scrypt" },
  { "^scrypt:%d+:%d+:%d+%$[^$]+%$%x+$", "scrypt" },
  { "^%$scrypt%$[%w=,]+%$[%w+/=.]+%$[%w+/=.]+$", "scrypt" },
  { "^%$pbkdf2%-?%w*%$[^$]+%$[^$]+%$[^$]+$", "pbkdf2" },
  { "^pbkdf2[_:]sha%d+[$:]%d+%$[^$]+%$[%w+/=]+$", "pbkdf2" },
  { "^%$krb5%w+%$[^$]*%$.+$", "kerberos" },
  { "^%*%x+$", "mysql41", 41 },
  { "^{SSHA%d*}[%w+/=]+$", "ssha" },
  { "^{SHA%d*}[%w+/=]+$", "sha" },
}

--- The helper `hash`.
function shapes.hash()
  return {
    --- What kind of hash a text has the shape of, or nil. 32 hexadecimal digits are "md5"; with capital letters only "ntlm?", for an
    -- NTLM hash looks the same; LM and NTLM joined by a colon are "ntlm".
    kind = function(text)
      if type(text) ~= "string" or #text < SHORTEST_HASH or #text > LONGEST_HASH then return nil end
      if HEX[#text] and not text:find("%X") then
        return #text == 32 and text:find("%u") and not text:find("%l") and "ntlm?" or HEX[#text]
      end
      if #text == 65 and text:find("^%x+:%x+$") and text:byte(33) == 58 then return "ntlm" end
      for _, entry in ipairs(PREFIXED) do
        if (not entry[3] or #text == entry[3]) and text:find(entry[1]) then return entry[2] end
      end
    end,
  }
end

-- First and last of the leading digits, how many digits they are, brand, shortest and longest number. Narrow ones first.
local BRANDS = {
  { 2200, 2204, 4, "mir", 16, 19 }, { 2221, 2720, 4, "mastercard", 16, 16 }, { 3528, 3589, 4, "jcb", 16, 19 },
  { 6011, 6011, 4, "discover", 16, 19 }, { 3095, 3095, 4, "diners", 14, 19 }, { 644, 649, 3, "discover", 16, 19 },
  { 300, 305, 3, "diners", 14, 19 }, { 34, 34, 2, "amex", 15, 15 }, { 37, 37, 2, "amex", 15, 15 },
  { 36, 36, 2, "diners", 14, 19 }, { 38, 39, 2, "diners", 14, 19 }, { 51, 55, 2, "mastercard", 16, 16 },
  { 65, 65, 2, "discover", 16, 19 }, { 62, 62, 2, "unionpay", 16, 19 }, { 50, 50, 2, "maestro", 12, 19 },
  { 56, 58, 2, "maestro", 12, 19 }, { 60, 69, 2, "maestro", 12, 19 }, { 4, 4, 1, "visa", 13, 19 },
}
local VISA = { [13] = true, [16] = true, [19] = true }

--- Whether the check digit of a text of digits is right (ISO/IEC 7812-1, annex B).
function shapes.luhn(digits)
  local sum, twice = 0, false
  for i = #digits, 1, -1 do
    local d = digits:byte(i) - 48
    if twice then d = d < 5 and 2 * d or 2 * d - 9 end
    sum, twice = sum + d, not twice
  end
  return sum % 10 == 0
end

local function brand_of(digits)
  for _, b in ipairs(BRANDS) do
    local lead = tonumber(digits:sub(1, b[3]))
    if lead >= b[1] and lead <= b[2] then return b[4], b[5], b[6] end
  end
end

--- The helper `card`.
function shapes.card()
  return {
    --- { brand, bin, last4 } of a card number (digits, single spaces and hyphens between them, or an integer), or nil and why. Neither
    -- holds the number.
    check = function(number)
      if math.type(number) == "integer" and number > 0 then number = tostring(number) end
      if type(number) ~= "string" then return nil, "no text" end
      if #number > 64 then return nil, "not a card number: too long" end
      local digits, joints = trim(number):gsub("(%d)[ -]%f[%d]", "%1")
      if not digits:find("^%d+$") then return nil, "not a card number: not only digits" end
      if #digits < 12 or #digits > 19 or joints > 7 then return nil, "not a card number: not 12 to 19 digits" end
      local brand, least, most = brand_of(digits)
      if not brand then return nil, "not a card number: no brand begins so" end
      if #digits < least or #digits > most or brand == "visa" and not VISA[#digits] then
        return nil, "not a card number: not as long as those of " .. brand
      end
      if not shapes.luhn(digits) then return nil, "not a card number: the check digit is wrong" end
      return { brand = brand, bin = digits:sub(1, 6), last4 = digits:sub(-4) }
    end,
  }
end

return shapes
