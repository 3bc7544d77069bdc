-- made.lua: the helpers as a rule file sees them, with the core behind them; inputs that records may hold.
local core = require "defendis.core"
local helpers = require "defendis.helpers"

local made = {}

function made.all()
  return helpers.new{ ascii = core.names.ascii, registrable = core.names.registrable, regex = core.regex.new }
end

--- Values that are no address, host, URL, hash, card number or network; 16 of them text.
function made.hostile()
  local mega = 1 << 20
  return { "", " ", "\0", "a\0b@acme.example\0", "\xff\xfe\xfd", "ana@\xc3\x28.example", "\xed\xa0\x80@acme.example", ("a"):rep(mega),
    ("@"):rep(mega), (" "):rep(mega), ("."):rep(mega), (":"):rep(mega), ("/"):rep(mega), ("%"):rep(mega), ("\0"):rep(mega),
    "x" .. (" "):rep(mega) .. "x", "[", "\r\nHost: evil", 5.5, true, {}, print, io.stdout, require("cjson").null, 0 / 0, -1 }
end

--- Calls f with each of them and with nil; returns the results that are neither nil nor false, by place.
function made.survivors(f)
  local out, list = {}, made.hostile()
  for i = 1, #list + 1 do
    local value, why = f(list[i])
    if value then
      out[i] = value
    else
      assert(why == nil or type(why) == "string" and #why < 120 and not why:find("%c"), tostring(why))
    end
  end
  return out
end

return made
