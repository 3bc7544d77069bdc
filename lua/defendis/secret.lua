-- secret.lua: keys and tokens that are handed on and never read: no text of them is ever in Lua.
--
-- A secret prints as "secret(***)" and is masked in whatever the program logs. secret:sign(text) is the one thing to do with it here.
local secret = require("defendis.core").secret

local module = {}

--- The secret in an environment variable. Returns it, or nil, err (kind "config", which names the variable and the remedy).
function module.env(name) return secret.env(name) end

--- The secret in a file that only its owner can read. Returns it, or nil, err (kind "config", which names the file and the remedy).
function module.file(path) return secret.file(path) end

--- Is it a secret?
function module.is(value) return secret.is(value) end

--- A validator for defendis.check.
function module.check(value)
  if not secret.is(value) then return 'a secret expected: secret.env "NAME" or secret.file "path", never the text itself' end
end
require("defendis.check").typed("secret", module.check)

--- What a pipeline file gets under the name `secret`: env and file, which raise in the file's line. folder: what a relative path
-- counts from.
function module.constructors(folder)
  local function made(name, value, build)
    if type(value) ~= "string" or value == "" or value:find "%z" then error(("secret.%s: a name expected"):format(name), 3) end
    local made_one, err = build(value)
    if not made_one then error(err.message, 3) end
    return made_one
  end
  return { -- no tail calls: they would take the file's line out of the message
    env = function(name) return (made("env", name, secret.env)) end,
    file = function(path)
      return (made("file", path, function(p) return secret.file(p:sub(1, 1) == "/" and p or folder .. p) end))
    end,
  }
end

return module
