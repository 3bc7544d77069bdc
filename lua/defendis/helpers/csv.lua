-- csv.lua: CSV as spreadsheets and scripts write it: quotes, line ends inside them, BOM, CRLF, short rows.
local csv = {}

-- Line ends in a text, CRLF as one.
local function line_ends(text)
  local _, n = text:gsub("\r\n?", "\n")
  local _, lf = text:gsub("\n", "")
  local _, crlf = text:gsub("\r\n", "")
  return n + lf - crlf
end

-- The quoted field that begins at `at`: its value, where it ends, line ends in it; or nil and why.
local function quoted(text, at)
  local from = at + 1
  while true do
    local q = text:find('"', from, true)
    if not q then return nil, 'a quote that is not closed' end
    if text:byte(q + 1) ~= 34 then
      local value = text:sub(at + 1, q - 1)
      return value:gsub('""', '"'), q + 1, value:find("[\r\n]") and line_ends(value) or 0
    end
    from = q + 2
  end
end

-- One row from `at`: its fields, where the next begins, line ends passed; or nil, why.
local function row(text, at, separator, plain)
  local fields, lines = {}, 0
  while true do
    local value, inside
    if text:byte(at) == 34 then
      value, at, inside = quoted(text, at)
      if not value then return nil, at end
      lines = lines + inside
    else
      local stop = text:find(plain, at) or #text + 1
      value, at = text:sub(at, stop - 1), stop
    end
    fields[#fields + 1] = value
    local after = text:sub(at, at)
    if after == separator then
      at = at + 1
    elseif after == "" then
      return fields, at, lines
    elseif after == "\r" or after == "\n" then
      return fields, at + (text:sub(at, at + 1) == "\r\n" and 2 or 1), lines + 1
    else
      return nil, "text behind a closing quote"
    end
  end
end

--- All rows that are not blank: { { line = n, "field", ... }, ... }, or nil, why and the line.
function csv.parse(text, separator)
  local at, line, out = 1, 1, {}
  if text:sub(1, 3) == "\xEF\xBB\xBF" then at = 4 end
  if text:find("%z") then return nil, "a NUL byte; save the file as UTF-8", 1 end
  local plain = "[%" .. separator .. "\r\n]"
  while at <= #text do
    local fields, next_at, lines = row(text, at, separator, plain)
    if not fields then return nil, next_at, line end
    if #fields > 1 or fields[1] ~= "" then
      fields.line = line
      out[#out + 1] = fields
    end
    at, line = next_at, line + lines
  end
  return out
end

return csv
