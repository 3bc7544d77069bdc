-- ui.lua: tables, colours, progress and error lines for a terminal.
local core = require "defendis.core"
local sys, json = core.sys, core.json

local ui = {}

local COLOURS = { red = 31, green = 32, yellow = 33, bold = 1 }

--- text in a colour when fd is a terminal and NO_COLOR is not set.
function ui.colour(name, text, fd)
  local off = os.getenv("NO_COLOR")
  if (off and off ~= "") or not sys.isatty(fd or 1) then return text end
  return ("\27[%dm%s\27[0m"):format(COLOURS[name], text)
end

--- Control characters as \xNN: leaked data must not drive the terminal.
function ui.plain(text)
  return (tostring(text):gsub("[%c\127]", function(c) return ("\\x%02X"):format(c:byte()) end))
end

--- An error as one line: message, request id.
function ui.error_line(err)
  if type(err) ~= "table" then return ui.plain(err) end
  local line = ui.plain(err.message or "unknown error")
  if err.request_id then line = line .. " (request id " .. ui.plain(err.request_id) .. ")" end
  return line
end

local function width(text) return utf8.len(text) or #text end

--- Prints rows (arrays of text) under headers, columns aligned; numbers to the right.
function ui.table(headers, rows)
  local widths, numeric = {}, {}
  for c, h in ipairs(headers) do
    widths[c], numeric[c] = width(h), #rows > 0
    for _, row in ipairs(rows) do
      row[c] = ui.plain(row[c] == nil and "" or row[c])
      widths[c] = math.max(widths[c], width(row[c]))
      numeric[c] = numeric[c] and row[c]:find("^%-?[%d.]+$") ~= nil
    end
  end
  local function line(row)
    local cells = {}
    for c = 1, #headers do
      local pad = (" "):rep(widths[c] - width(row[c]))
      cells[c] = numeric[c] and pad .. row[c] or row[c] .. pad
    end
    return (table.concat(cells, "  "):gsub("%s+$", ""))
  end
  print(ui.colour("bold", line(headers)))
  for _, row in ipairs(rows) do print(line(row)) end
end

--- Text on stdout, or an error: what could not be written is not done.
function ui.write(text)
  local ok, problem = io.write(text)
  if not ok then error("the output could not be written: " .. problem, 0) end
end

--- One JSON document on stdout.
function ui.document(value) print(assert(json.encode(value, { sort_keys = true }))) end

--- A progress bar on stderr, for work over a second on a terminal. total: number or nil. Returns
-- update(done, text), finish(). update(done, text, true) shows it at once.
function ui.progress(total)
  local shown, started, last = false, sys.mono_ms(), 0
  local tty = sys.isatty(2)
  local function update(done, text, at_once)
    local now = sys.mono_ms()
    if not tty or not at_once and (now - started < 1000 or now - last < 100) then return end
    last, shown = now, true
    local bar = ""
    if total and total > 0 then
      local full = math.min(20, done * 20 // total)
      bar = "[" .. ("#"):rep(full) .. ("."):rep(20 - full) .. "] "
    end
    io.stderr:write("\r\27[K", (bar .. ui.plain(text)):sub(1, sys.columns() - 1))
  end
  local function finish()
    if shown then io.stderr:write("\r\27[K") end
  end
  return update, finish
end

return ui
