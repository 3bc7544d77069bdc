-- check.lua: options as a table of validators, and errors that name the field and the nearest known key.
--
--   local SPEC = { id = check.required(check.text), level = check.one_of{"low", "high"} }
--   local message, path = check.options(options, SPEC)      -- nil when all is well
--   check.argument(options, SPEC, "defendis.client")        -- raises instead, in the caller's name
--
-- A validator is a function(value) that returns nothing when the value is fine, else what is wrong with it ("a string
-- expected, got a number") and, for nested tables, the path below the value (an array of keys). A path lets the caller
-- find the line.
--
-- An entry may say more, for the reference (defendis.reference): check.field(validator, "one phrase", default),
-- check.required(validator, "one phrase").
local check = {}

local error_mt = { __name = "defendis.error", __tostring = function(e) return e.message end }

--- An error as every fallible function returns it: `return nil, check.error("config", "...")`.
-- @param kind one of the kinds of err.kind  @param message one line  @param extra table of more fields, or nil
function check.error(kind, message, extra)
  local e = { kind = kind, message = message, retryable = false }
  for k, v in pairs(extra or {}) do e[k] = v end
  return setmetatable(e, error_mt)
end

-- Optimal string alignment: a swap of neighbours, the commonest typo, costs one.
local function distance(a, b)
  local before, last, row = {}, {}, {}
  for j = 0, #b do last[j] = j end
  for i = 1, #a do
    row[0] = i
    for j = 1, #b do
      local cost = a:byte(i) == b:byte(j) and 0 or 1
      row[j] = math.min(last[j] + 1, row[j - 1] + 1, last[j - 1] + cost)
      if i > 1 and j > 1 and a:byte(i) == b:byte(j - 1) and a:byte(i - 1) == b:byte(j) then
        row[j] = math.min(row[j], before[j - 2] + 1)
      end
    end
    before, last, row = last, row, before
  end
  return last[#b]
end

--- The known name nearest to `word`, or nil when none is near enough to be what was meant.
-- @param known array of names, or table whose keys are the names
function check.nearest(word, known)
  local best, least = nil, math.max(2, #word // 2) + 1
  for k, v in pairs(known) do
    local name = type(k) == "string" and k or v
    if type(name) == "string" then
      local d = distance(word:lower(), name:lower())
      if d < least or (d == least and best and name < best) then best, least = name, d end
    end
  end
  return best
end

local function before(a, b)
  local is_number = type(a) == "number"
  if is_number ~= (type(b) == "number") then return is_number end
  if is_number then return a < b end
  return tostring(a) < tostring(b)
end

--- The keys of a table in one order: numbers, then all others by their text.
function check.sorted_keys(t)
  local keys = {}
  for k in pairs(t) do keys[#keys + 1] = k end
  table.sort(keys, before)
  return keys
end

--- `unknown key "levle", nearest key "level"`; with no near one, all of them. `what` replaces the word "key".
function check.unknown(word, known, what)
  what = what or "key"
  local shown, near = tostring(word), check.nearest(tostring(word), known)
  if near then return ('unknown %s "%s", nearest %s "%s"'):format(what, shown, what, near) end
  local names = {}
  for k, v in pairs(known) do names[#names + 1] = type(k) == "string" and k or v end
  table.sort(names)
  return ('unknown %s "%s", known: %s'):format(what, shown, table.concat(names, ", "))
end

--- `"frist" is not among its rules, nearest "first"`.
function check.missing(word, known, what)
  local near = check.nearest(word, known)
  return ('"%s" %s%s'):format(word, what, near and (', nearest "%s"'):format(near) or "")
end

--- {"tests", 2, "input"} as `tests[2].input`.
function check.path_text(path)
  local out = ""
  for _, p in ipairs(path) do
    out = out .. (math.type(p) == "integer" and ("[%d]"):format(p) or (out == "" and "" or ".") .. tostring(p))
  end
  return out
end

local function with_article(kind)
  if kind == "nil" then return kind end
  return (kind:find("^[aeiou]") and "an " or "a ") .. kind
end

local WORDS, SPECS = {}, {} -- by validator; those are made once, when a module is loaded

--- Gives a validator the words that the reference has for what it takes. spec: of the table that it takes, or nil. Returns it.
function check.typed(words, validator, spec)
  WORDS[validator], SPECS[validator] = words, spec
  return validator
end

--- What a validator takes, as text, and the spec of the table (or of the tables of the list) that it takes. Nil when it does not say.
function check.takes(validator) return WORDS[validator], SPECS[validator] end

local function of_type(kind, words)
  return check.typed(words or kind, function(v)
    if type(v) ~= kind then return ("%s expected, got %s"):format(with_article(kind), with_article(type(v))) end
  end)
end

check.string, check.number, check.boolean = of_type("string", "text"), of_type "number", of_type("boolean", "true or false")
check.table, check.func = of_type "table", of_type "function"

--- Anything but nil.
function check.any() end
check.typed("anything", check.any)

--- A string with something in it.
function check.text(v)
  if type(v) ~= "string" then return check.string(v) end
  if v == "" then return "a text that is not empty expected" end
end
check.typed("text", check.text)

--- An integer not below zero (2.0 is one).
function check.count(v)
  local n = type(v) == "number" and math.tointeger(v)
  if not n or n < 0 then return ("a whole number not below 0 expected, got %s"):format(tostring(v)) end
end
check.typed("whole number", check.count)

--- A number from least to most.
function check.between(least, most)
  return check.typed(("number from %s to %s"):format(least, most), function(v)
    if type(v) ~= "number" or not (v >= least and v <= most) then
      return ("a number from %s to %s expected, got %s"):format(least, most, tostring(v))
    end
  end)
end

--- One of the given texts.
function check.one_of(names)
  return check.typed(#names == 1 and ('"%s"'):format(names[1]) or "one of " .. table.concat(names, ", "), function(v)
    if type(v) ~= "string" then return check.string(v) end
    for _, name in ipairs(names) do
      if v == name then return end
    end
    local near = check.nearest(v, names)
    return ('one of %s expected, got "%s"%s'):format(table.concat(names, ", "), v,
      near and (', nearest "%s"'):format(near) or "")
  end)
end

--- An array whose elements pass `each`; `least` is the smallest length allowed.
function check.list(each, least)
  local words, spec = check.takes(each)
  words = words and "list of " .. words .. (words:find "^%a+$" and "s" or "")
  return check.typed(words, function(v)
    if type(v) ~= "table" then return ("a list expected, got %s"):format(with_article(type(v))) end
    for k in pairs(v) do
      if math.type(k) ~= "integer" or k < 1 or k > #v then
        return ("a list expected, got a table with the key %s"):format(tostring(k))
      end
    end
    if #v < (least or 0) then return ("a list of at least %d expected, got %d"):format(least, #v) end
    for i, element in ipairs(v) do
      local message, path = each(element)
      if message then
        path = path or {}
        table.insert(path, 1, i)
        return message, path
      end
    end
  end, spec)
end

--- A nested options table.
function check.shape(spec)
  return check.typed("table", function(v) return check.options(v, spec) end, spec)
end

--- A field that must be there. phrase: of the reference, or nil.
function check.required(validator, phrase) return { validate = validator, required = true, phrase = phrase } end

--- A field with its phrase for the reference, and the value (or nil) that check.given has for it when it is left out.
function check.field(validator, phrase, default) return { validate = validator, phrase = phrase, default = default } end

--- The value of an option, or its default.
function check.given(options, spec, name)
  local value = options[name]
  if value == nil and type(spec[name]) == "table" then return spec[name].default end
  return value
end

local function check_field(name, entry, value)
  local validate = type(entry) == "table" and entry.validate or entry
  local message, below = validate(value)
  if not message then return end
  below = below or {}
  table.insert(below, 1, name)
  return message, below
end

--- Checks `options` against `spec` (name -> validator or check.required(validator)).
-- @return nothing, or message and path of the first fault: unknown keys, then missing fields, then wrong values, by
-- name
function check.options(options, spec)
  if type(options) ~= "table" then return ("a table expected, got %s"):format(with_article(type(options))) end
  for _, key in ipairs(check.sorted_keys(options)) do
    if spec[key] == nil then return check.unknown(key, spec), { key } end
  end
  local names = check.sorted_keys(spec)
  for _, name in ipairs(names) do
    local entry = spec[name]
    if type(entry) == "table" and entry.required and options[name] == nil then
      return ('missing required field "%s"'):format(name), { name }
    end
  end
  for _, name in ipairs(names) do
    if options[name] ~= nil then
      local message, path = check_field(name, spec[name], options[name])
      if message then return message, path end
    end
  end
end

--- The message with the field in front, unless the message names the (outermost) field itself.
function check.describe(message, path)
  if not path or #path == 0 then return message end
  if message:find('^unknown key') or message:find('^missing required') then
    if #path == 1 then return message end
    return ('field "%s": %s'):format(check.path_text({ table.unpack(path, 1, #path - 1) }), message)
  end
  return ('field "%s": %s'):format(check.path_text(path), message)
end

--- Raises when `options` do not pass; for arguments of public functions. `level` 1 blames the caller of the caller.
function check.argument(options, spec, name, level)
  local message, path = check.options(options, spec)
  if message then error(("%s: %s"):format(name, check.describe(message, path)), (level or 1) + 2) end
  return options
end

return check
