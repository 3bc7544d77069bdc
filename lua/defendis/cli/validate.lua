-- validate.lua: `defendis validate --target TARGET [FILE]`: are these documents what the target says?
local targets = require "defendis.normalize.targets"
local lines = require "defendis.cli.lines"

local command = {}

function command.options(c)
  c:argument("file", "JSON lines (of cef and leef: lines); without it, or as -, stdin."):args "?"
  c:option("--target", "What they are to be: " .. table.concat(targets.names(), ", ") .. ".")
    :argname "TARGET":choices(targets.names()):count "1"
end

function command.run(args)
  local target, is_text = targets.get(args.target), args.target == "cef" or args.target == "leef"
  return lines.each(args.file, function(text)
    local document, problem = text, nil
    if not is_text then document, problem = lines.object(text) end
    if not document then return nil, problem end
    local told = {}
    for i, f in ipairs(target.validate(document) or {}) do told[i] = (f.path == "" and "" or f.path .. ": ") .. f.message end
    return not told[1], table.concat(told, "; ")
  end)
end

return command
