-- json.lua: JSON text with keys in the order written, so that equal answers are equal bytes.
local json = {}

local ESCAPES = { ['"'] = '\\"', ["\\"] = "\\\\", ["\n"] = "\\n", ["\r"] = "\\r", ["\t"] = "\\t" }

local function quote(text)
  if not utf8.len(text) then text = text:gsub("[\128-\255]", "?") end
  return '"' .. text:gsub('[%c"\\]', function(c) return ESCAPES[c] or ("\\u%04x"):format(c:byte()) end) .. '"'
end

local function encode(value)
  local kind = type(value)
  if kind == "string" then return quote(value) end
  if kind == "table" then return value[1] end
  if kind == "number" then return math.type(value) == "integer" and ("%d"):format(value) or ("%.17g"):format(value) end
  return value == nil and "null" or tostring(value)
end

--- {text} of an object: object("key", value, "key", value, ...). Values: string, number, boolean, nil for null, or
-- another {text}.
function json.object(...)
  local args, parts = table.pack(...), {}
  for i = 1, args.n, 2 do parts[#parts + 1] = quote(args[i]) .. ":" .. encode(args[i + 1]) end
  return { "{" .. table.concat(parts, ",") .. "}" }
end

--- {text} of an array of such values.
function json.array(values)
  local parts = {}
  for i, value in ipairs(values) do parts[i] = encode(value) end
  return { "[" .. table.concat(parts, ",") .. "]" }
end

return json
