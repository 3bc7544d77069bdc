-- email.lua: mail addresses as leaks hold them, and the one mailbox behind its many spellings.
local trim = require "defendis.helpers.trim"

local email = {}

local LONGEST <const> = 1024

local function set(names)
  local out = {}
  for name in names:gmatch("%S+") do out[name] = true end
  return out
end

-- What the providers say of themselves: "+word" is dropped at delivery; dots do not count.
local TAGS = set[[gmail.com outlook.com hotmail.com live.com msn.com icloud.com me.com mac.com fastmail.com proton.me
  protonmail.com pm.me yandex.ru yandex.com ya.ru]]
local DOTS = set "gmail.com"
local SAME = { ["googlemail.com"] = "gmail.com" }

-- Local part and domain, or nil and why. What RFC 5321 refuses and leaks hold (dots at the ends, two dots) passes.
local function split(text, ascii)
  if type(text) ~= "string" then return nil, "no text" end
  if #text > LONGEST then return nil, "not a mail address: too long" end
  local name, host = trim(text):match("^(.*)@([^@]*)$")
  if not name then return nil, "not a mail address: no @" end
  if name == "" then return nil, "not a mail address: nothing before the @" end
  if #name > 64 then return nil, "not a mail address: the part before the @ is too long" end
  if name:find('[%z\1-\32\127"(),:;<>@%[%]\\]') or not utf8.len(name) then
    return nil, "not a mail address: a character that none has"
  end
  local domain, why = ascii(host)
  if not domain then return nil, why end
  if not domain:find("%.%d*[^%d.][^.]*$") then return nil, "not a mail address: no domain behind the @" end
  return name, domain
end

-- Whether an option (true, false, "any"; default true) asks for it at this domain.
local function wanted(option, known, domain, name)
  if option ~= nil and type(option) ~= "boolean" and option ~= "any" then
    error(('email.canonical: %s is true, false or "any", got %s'):format(name, tostring(option)), 3)
  end
  return option == "any" or option ~= false and known[domain] == true
end

--- The helper `email`. ascii: that of the helper `domain`.
function email.new(ascii)
  local out = {}

  --- The one spelling of a mailbox: lower case, A-labels, without "+tag" and dots where the provider ignores them; or nil and why.
  -- options: tags, dots: true (where the provider is known to, the default), false (never), "any" (at every domain).
  function out.canonical(text, options)
    options = options or {}
    if type(options) ~= "table" then error("email.canonical: options are a table", 2) end
    for key in pairs(options) do
      if key ~= "tags" and key ~= "dots" then error(('email.canonical: unknown key "%s", known: dots, tags'):format(tostring(key)), 2) end
    end
    local name, domain = split(text, ascii)
    if not name then return nil, domain end
    domain = SAME[domain] or domain
    name = name:lower()
    -- "+tag" alone is a name
    if wanted(options.tags, TAGS, domain, "tags") then name = name:match("^([^+]+)%+") or name end
    if wanted(options.dots, DOTS, domain, "dots") then
      local without = name:gsub("%.", "")
      if without ~= "" then name = without end
    end
    return name .. "@" .. domain
  end

  --- The domain of an address, as A-labels; or nil and why.
  function out.domain(text)
    local name, domain = split(text, ascii)
    if not name then return nil, domain end
    return domain
  end

  return out
end

return email
