-- playbook.lua: one script through `defendis run`.
local cjson = require "cjson"
local run = require "support.run"

local playbook = {}

--- Runs a script's text. options: {flags = words, input = text, env = table, prefix = words, name = file name}.
-- Returns {code, out, err, doc = the one document on stdout}; raises when stdout is anything else.
function playbook.run(text, options)
  options = options or {}
  local path = run.write(run.folder() .. "/" .. (options.name or "script.lua"), text)
  local r = run.defendis(("run %s %s"):format(options.flags or "", path), options)
  assert(select(2, r.out:gsub("\n", "")) == 1 and r.out:sub(-1) == "\n", "not one line on stdout: " .. r.out)
  r.doc = cjson.decode(r.out)
  return r
end

--- The document of a script that must end well.
function playbook.value(text, options)
  local r = playbook.run(text, options)
  assert(r.code == 0, r.err)
  return r.doc
end

--- Exit code and error of a script that must fail; the line on stderr must say the same.
function playbook.failure(text, options)
  local r = playbook.run(text, options)
  assert(r.code ~= 0 and r.doc.error, r.out)
  local line = "defendis: " .. r.doc.error.message
  assert(r.err:sub(-#line - 1) == line .. "\n" or r.doc.error.request_id, r.err)
  return r.code, r.doc.error
end

return playbook
