-- carry.lua: writes the C table of carried Lua modules; run by the build: carry.lua FILE... > carried.c
local escapes = { ["\\"] = "\\\\", ['"'] = '\\"', ["\n"] = '\\n"\n"', ["\t"] = "\\t", ["\r"] = "\\r", ["?"] = "\\?" }
print('#include "host/carried.h"\n\nconst df_carried df_carried_modules[] = {')
for _, path in ipairs(arg) do
  local f = assert(io.open(path, "rb"))
  local text = f:read("a")
  f:close()
  local name = path:gsub("^lua/", ""):gsub("%.lua$", ""):gsub("/", "."):gsub("%.init$", "")
  local literal = text:gsub('[\\"\n\t\r?]', escapes):gsub("[\128-\255]", function(c) return ("\\%03o"):format(c:byte()) end)
  print(('{"%s",\n"%s", %d},'):format(name, literal, #text))
end
print("{0, 0, 0}};")
