-- carry.lua: writes the C table of carried Lua modules; run by the build: carry.lua FILE... > carried.c
local escapes = { ["\\"] = "\\\\", ['"'] = '\\"', ["\n"] = '\\n"\n"', ["\t"] = "\\t", ["\r"] = "\\r", ["?"] = "\\?" }
print('#include "host/carried.h"\n\nconst df_carried df_carried_modules[] = {')
local function carry(name, text)
  local literal = text:gsub('[\\"\n\t\r?]', escapes):gsub("[\128-\255]", function(c) return ("\\%03o"):format(c:byte()) end)
  print(('{"%s",\n"%s", %d},'):format(name, literal, #text))
end
local sinks = {}
for _, path in ipairs(arg) do
  local f = assert(io.open(path, "rb"))
  local name = path:gsub("^lua/", ""):gsub("%.lua$", ""):gsub("/", "."):gsub("%.init$", "")
  carry(name, f:read("a"))
  f:close()
  sinks[#sinks + 1] = name:match("^defendis%.sinks%.([%w_]+)$")
end
-- a pipeline file knows them by name, and the program has no folder to look into
carry("defendis.sinks.names", ('return { "%s" }\n'):format(table.concat(sinks, '", "')))
print("{0, 0, 0}};")
