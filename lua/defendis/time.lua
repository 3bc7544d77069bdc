-- time.lua: ISO 8601 text <-> Unix milliseconds (integers, UTC), dates, and spans such as "24h".
-- Pure and without a clock: what "now" is, the caller says.
local byte, format, floor = string.byte, string.format, math.floor

local time = {}

local DAY = 86400000
local UNIT = { ms = 1, s = 1000, m = 60000, h = 3600000, d = DAY, w = 7 * DAY }
local MONTH_DAYS = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 }

-- Days since 1970-01-01 in the proleptic Gregorian calendar; years begin in March so that the leap day comes last.
local function days_from_civil(y, m, d)
  if m <= 2 then y = y - 1 end
  local era = y // 400
  local yoe = y - era * 400
  local doy = (153 * (m + (m > 2 and -3 or 9)) + 2) // 5 + d - 1
  return era * 146097 + yoe * 365 + yoe // 4 - yoe // 100 + doy - 719468
end

local function civil_from_days(z)
  z = z + 719468
  local era = z // 146097
  local doe = z - era * 146097
  local yoe = (doe - doe // 1460 + doe // 36524 - doe // 146096) // 365
  local doy = doe - (365 * yoe + yoe // 4 - yoe // 100)
  local mp = (5 * doy + 2) // 153
  local m = mp < 10 and mp + 3 or mp - 9
  return yoe + era * 400 + (m <= 2 and 1 or 0), m, doy - (153 * mp + 2) // 5 + 1
end

local function month_length(y, m)
  if m == 2 and y % 4 == 0 and (y % 100 ~= 0 or y % 400 == 0) then return 29 end
  return MONTH_DAYS[m]
end

-- The part behind the seconds: fraction (cut at the millisecond) and zone. Milliseconds to add, or nil.
local function tail_ms(text, at)
  local ms = 0
  local digits, next_at = text:match("^[.,](%d+)()", at)
  if digits and at ~= 20 then return nil end -- a fraction of a minute
  if digits then
    ms = tonumber((digits .. "00"):sub(1, 3))
    at = next_at
  end
  local zone = text:sub(at)
  if zone == "Z" or zone == "z" or zone == "" then return ms end
  local sign, h, m = zone:match("^([+-])(%d%d):?(%d%d)$")
  if not sign then sign, h = zone:match("^([+-])(%d%d)$") end
  if not sign then return nil end
  h, m = tonumber(h), tonumber(m or 0)
  if h > 23 or m > 59 then return nil end
  local offset = (h * 60 + m) * 60000
  return sign == "+" and ms - offset or ms + offset
end

-- A text as messages show it.
local function short(text) return (text:sub(1, 40):gsub("%c", "?")) end

local function bad(text)
  return nil, "not an ISO 8601 time: " .. (type(text) == "string" and '"' .. short(text) .. '"' or "a " .. type(text))
end

--- Unix milliseconds of "2026-01-31", "2026-01-31T12:00", "2026-01-31T12:00:00.123Z", also with +02:00 for the Z.
-- Without a zone the time is UTC (the API documents none). Digits below the millisecond are cut, second 60 is the next
-- minute.
-- @return integer, or nil and a message
function time.parse(text)
  if type(text) ~= "string" then return bad(text) end
  local a, b, c, d, dash1, e, f, dash2, g, h, t, i, j, colon1, k, l, colon2, m, n, after = byte(text, 1, 20)
  -- the sign bit is set when any of the bytes is no digit
  if not h or dash1 ~= 45 or dash2 ~= 45 or ((a - 48) | (57 - a) | (b - 48) | (57 - b) | (c - 48) | (57 - c)
    | (d - 48) | (57 - d) | (e - 48) | (57 - e) | (f - 48) | (57 - f) | (g - 48) | (57 - g) | (h - 48)
    | (57 - h)) < 0 then
    return bad(text)
  end
  local year, month, day = a * 1000 + b * 100 + c * 10 + d - 53328, e * 10 + f - 528, g * 10 + h - 528
  if month < 1 or month > 12 or day < 1 or day > month_length(year, month) then return bad(text) end
  local ms = days_from_civil(year, month, day) * DAY
  if not t then return ms end
  if (t ~= 84 and t ~= 32 and t ~= 116) or not l or colon1 ~= 58
    or ((i - 48) | (57 - i) | (j - 48) | (57 - j) | (k - 48) | (57 - k) | (l - 48) | (57 - l)) < 0 then
    return bad(text)
  end
  local hour, minute, second, at = i * 10 + j - 528, k * 10 + l - 528, 0, 17
  if colon2 == 58 then
    if not n or ((m - 48) | (57 - m) | (n - 48) | (57 - n)) < 0 then return bad(text) end
    second, at = m * 10 + n - 528, 20
  end
  if hour > 23 or minute > 59 or second > 60 then return bad(text) end
  ms = ms + hour * 3600000 + minute * 60000 + second * 1000
  if at == 20 and (after == nil or (after == 90 and #text == 20)) then return ms end
  local more = tail_ms(text, at)
  if not more then return bad(text) end
  return ms + more
end

--- Milliseconds of a value as records carry it: ISO text, or a number that is Unix milliseconds already.
-- @return integer, or nil and a message
function time.of(value)
  if type(value) == "number" then
    local n = math.tointeger(value) or (value == value and math.abs(value) < 2 ^ 62 and floor(value))
    if n then return n end
    return nil, format("not a time in milliseconds: %s", value)
  end
  return time.parse(value)
end

--- "2026-01-31" of Unix milliseconds.
function time.date(ms)
  local y, m, d = civil_from_days(ms // DAY)
  return format("%04d-%02d-%02d", y, m, d)
end

--- "2026-01-31T12:00:00Z" of Unix milliseconds, with ".123" when there are milliseconds.
function time.format(ms)
  local rest = ms % DAY
  local milli = rest % 1000
  return format("%sT%02d:%02d:%02d%sZ", time.date(ms), rest // 3600000, rest // 60000 % 60, rest // 1000 % 60,
    milli > 0 and format(".%03d", milli) or "")
end

--- The day and hour of Unix milliseconds, in UTC: { year, month, day, hour, minute, second, ms, weekday } with Monday as 1.
function time.parts(ms)
  local days, rest = ms // DAY, ms % DAY
  local year, month, day = civil_from_days(days)
  return { year = year, month = month, day = day, hour = rest // 3600000, minute = rest // 60000 % 60, second = rest // 1000 % 60,
    ms = rest % 1000, weekday = (days + 3) % 7 + 1 }
end

--- Milliseconds of a span: whole number and one unit of ms, s, m, h, d, w ("90m", "24h", "7d").
-- @return integer, or nil and a message
function time.span(text)
  if type(text) ~= "string" then return nil, 'a span such as "24h" or "7d" expected, got a ' .. type(text) end
  local digits, unit = text:match("^(%d+)(%a+)$")
  if not digits or #digits > 9 then return nil, format('a span such as "24h" or "7d" expected, got "%s"', short(text)) end
  if not UNIT[unit] then
    return nil, format('unknown unit "%s" in the span "%s", units: ms, s, m, h, d, w', short(unit), short(text))
  end
  return math.tointeger(digits) * UNIT[unit]
end

--- The begin of the span that a time lies in, counted from 1970 in UTC; weeks ("1w") begin on Monday.
-- @return integer, or nil and a message
function time.floor(ms, span)
  local step, why = time.span(span)
  if not step then return nil, why end
  if step == 0 then return nil, "a span longer than 0 expected" end
  local from = step % UNIT.w == 0 and -3 * DAY or 0
  return (ms - from) // step * step + from
end

return time
