-- lintsigma.lua: what may be wrong with the detections of Sigma files.
local lintsigma = {}

-- The step of a path that is a sensitive field, or nil; what stands behind it. hidden: names, or nil.
local function secret_step(path, hidden)
  local names = {}
  for _, name in ipairs(hidden or {}) do names[name:lower()] = true end
  for step, after in path:gmatch "([^.]+)%.?()" do
    if names[step:lower()] then return step, path:sub(after) end
  end
end

--- Reads of a definition that can never fit, because they compare a value that cannot be read with a text: array of {line, message}.
-- hidden: names of the sensitive fields of its dataset, or nil.
function lintsigma.blind(def, hidden)
  local out = {}
  for _, read in ipairs(def.reads or {}) do
    local name, behind = secret_step(read.path, hidden)
    if name and read.compares and behind ~= "hmac" then
      out[#out + 1] = { line = read.line, message = ('field "%s": %s is sensitive, no text ever fits it: compare %s.hmac with an HMAC, ask '
        .. "%s|exists, or write the rule in Lua with %s:reveal"):format(read.key, name, read.path, read.path, name) }
    end
  end
  return out
end

local REPEATED = "[*+]"

--- Why a regular expression may take very long on text that does not fit, or nil.
function lintsigma.slow(pattern)
  local bare = pattern:gsub("\\.", "x"):gsub("%[%^?%]?[^%]]*%]", "x") -- escapes and sets stand for one character each
  for group, after in bare:gmatch "(%b())()" do
    local inner = group:sub(2, -2)
    local repeats = bare:find("^" .. REPEATED, after) or bare:find("^{%d*,}", after)
    if repeats and (inner:find(REPEATED) or inner:find "{%d*,%d*}") then return "a repetition within a repetition" end
    local why = inner ~= "" and lintsigma.slow(inner)
    if why then return why end
  end
  if bare:find "%.[*+]%??%.[*+]" or bare:find "([%w])[*+]%1[*+]" then
    return "two repetitions follow each other and can share text in every way"
  end
  local _, wide = bare:gsub("%.[*+]", "")
  if wide >= 3 then return ("%d wide repetitions in one expression"):format(wide) end
end

--- Looks at one definition. hidden: as above; is_known(read): true, or nil and what to say; say(name, line, format, ...).
function lintsigma.run(def, hidden, is_known, say)
  for _, read in ipairs(def.reads or {}) do
    local name, behind = secret_step(read.path, hidden)
    local path = name and behind == "hmac" and read.path:sub(1, -6) or read.path
    local ok, what = is_known{ path = path, datasets = { [def.options.dataset] = true } }
    if not ok then say("unknown-field", read.line, "%s", what) end
    for _, pattern in ipairs(read.patterns) do
      local why = lintsigma.slow(pattern)
      if why then say("slow-pattern", read.line, 'field "%s": "%s": %s', read.key, pattern, why) end
    end
  end
  for _, b in ipairs(lintsigma.blind(def, hidden)) do say("secret-text", b.line, "%s", b.message) end
end

return lintsigma
