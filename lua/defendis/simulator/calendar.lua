-- calendar.lua: dates in UTC without a clock.
local calendar = {}

local LENGTH = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 }

local function leap(year) return year % 4 == 0 and (year % 100 ~= 0 or year % 400 == 0) end

local function days_before(year) return 365 * (year - 1) + (year - 1) // 4 - (year - 1) // 100 + (year - 1) // 400 end

local EPOCH = days_before(1970)

--- Seconds since 1970 of midnight UTC on a "YYYY-MM-DD" date; nil when it is not a real one.
function calendar.parse(text)
  local y, m, d = text:match("^(%d%d%d%d)%-(%d%d)%-(%d%d)$")
  if not y then return nil end
  y, m, d = math.tointeger(y), math.tointeger(m), math.tointeger(d)
  if y < 1 or m < 1 or m > 12 or d < 1 or d > (m == 2 and leap(y) and 29 or LENGTH[m]) then return nil end
  local days = days_before(y) - EPOCH + d - 1
  for month = 1, m - 1 do days = days + (month == 2 and leap(y) and 29 or LENGTH[month]) end
  return days * 86400
end

local function format_date(days)
  local year = 1970 + days // 366
  while days_before(year + 1) - EPOCH <= days do year = year + 1 end
  local rest, month = days - (days_before(year) - EPOCH), 1
  while true do
    local length = month == 2 and leap(year) and 29 or LENGTH[month]
    if rest < length then return ("%04d-%02d-%02d"):format(year, month, rest + 1) end
    rest, month = rest - length, month + 1
  end
end

local two = {}
for n = 0, 59 do two[n] = ("%02d"):format(n) end
local dates = setmetatable({}, { __index = function(t, days)
  local text = format_date(days)
  t[days] = text
  return text
end })

--- "YYYY-MM-DDTHH:MM:SSZ" of seconds since 1970.
function calendar.iso(seconds)
  local s = seconds % 86400
  return dates[seconds // 86400] .. "T" .. two[s // 3600] .. ":" .. two[s // 60 % 60] .. ":" .. two[s % 60] .. "Z"
end

return calendar
