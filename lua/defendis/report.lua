-- report.lua: findings as one HTML file: a timeline for each rule, tables, differences. It loads nothing and runs nothing; leaked data
-- is hostile, so every text is escaped and the page's own rules let nothing in but its one style sheet.
local core = require "defendis.core"
local replay = require "defendis.replay"
local time = require "defendis.time"

local DAY_MS <const> = 86400000
local SHOWN <const> = 500 -- findings of a rule, and differences of a kind
local LONG <const> = 160 -- characters of a text in a table
local BARS <const> = 120 -- of a timeline
local WIDTH <const>, HEIGHT <const> = 960, 96

local report = {}

local LEVELS = { critical = 1, high = 2, medium = 3, low = 4, informational = 5 }

local STYLE <const> = [[
:root{color-scheme:light dark;--bg:#fff;--fg:#1a1d21;--dim:#5c6570;--line:#d9dee4;--soft:#f4f6f8;--critical:#b4123b;--high:#c2540a;
--medium:#8a6d00;--low:#2563a8;--informational:#5c6570;--added:#17703a;--removed:#b4123b;--changed:#8a6d00}
@media(prefers-color-scheme:dark){:root{--bg:#14171a;--fg:#e6e9ec;--dim:#9aa4af;--line:#30363d;--soft:#1d2125;--critical:#ff7a93;
--high:#ff9d5c;--medium:#e3c04b;--low:#79b4f2;--informational:#9aa4af;--added:#6fd08c;--removed:#ff7a93;--changed:#e3c04b}}
*{box-sizing:border-box}
body{margin:0 auto;padding:2rem 1.5rem 4rem;max-width:76rem;background:var(--bg);color:var(--fg);font:15px/1.5 system-ui,sans-serif}
h1{font-size:1.5rem;margin:0 0 .25rem}h2{font-size:1.2rem;margin:2.5rem 0 .5rem}h3{font-size:1rem;margin:2rem 0 .25rem}
p{margin:.25rem 0}.dim{color:var(--dim)}.scroll{overflow-x:auto}
table{border-collapse:collapse;width:100%;font-size:.87rem;margin:.5rem 0}
th{text-align:left;white-space:nowrap;color:var(--dim);font-weight:600;background:var(--soft)}
th,td{padding:.3rem .6rem;border-bottom:1px solid var(--line);vertical-align:top}
td.a{min-width:13rem;overflow-wrap:anywhere}
td.n,th.n{text-align:right;font-variant-numeric:tabular-nums}td.t{white-space:nowrap;font-variant-numeric:tabular-nums}
td.id{font-family:ui-monospace,monospace;font-size:.78rem;color:var(--dim);min-width:8rem}
b.l{font-weight:600;white-space:nowrap}
svg{display:block;width:100%;height:auto;margin:.5rem 0;background:var(--soft);border-radius:4px}
svg text{fill:var(--dim);font:11px system-ui,sans-serif}svg line{stroke:var(--line)}
.critical{color:var(--critical);fill:var(--critical)}.high{color:var(--high);fill:var(--high)}
.medium{color:var(--medium);fill:var(--medium)}.low{color:var(--low);fill:var(--low)}
.informational{color:var(--informational);fill:var(--informational)}
.added{color:var(--added)}.removed{color:var(--removed)}.changed{color:var(--changed)}
details{margin:.25rem 0}summary{cursor:pointer;color:var(--dim)}
@media print{details{display:block}body{max-width:none}}
]]

local ENTITIES = { ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;", ['"'] = "&quot;", ["'"] = "&#39;" }

-- What would turn the direction of a line around, or not show at all.
local function is_invisible(c)
  return c < 32 or c >= 0x7f and c < 0xa0 or c >= 0x200b and c <= 0x200f or c >= 0x2028 and c <= 0x202e or c >= 0x2060 and c <= 0x206f
    or c == 0xfeff or c == 0xfffe or c == 0xffff or c == 0x61c or c == 0xad or c >= 0xe0000 and c <= 0xe007f
end

--- Any value as text of HTML, also within quotes.
function report.escape(value)
  local text = tostring(value)
  if not utf8.len(text) then text = text:gsub("[\x80-\xff]", "?") end
  if text:find("[%c\x7f-\xff]") then
    text = text:gsub(utf8.charpattern, function(c)
      local code = utf8.codepoint(c)
      if is_invisible(code) then return ("\\u{%X}"):format(code) end
    end)
  end
  return (text:gsub("[&<>\"']", ENTITIES))
end
local escape = report.escape

-- The beginning of a text that is long: a row of a table is for looking, the document has all of it.
local function short(text)
  if not utf8.len(text) then text = text:gsub("[\x80-\xff]", "?") end
  local stop = utf8.offset(text, LONG + 1)
  return stop and stop <= #text and text:sub(1, stop - 1) .. "..." or text
end

local BASE64 <const> = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
local function base64(bytes)
  local out = {}
  for i = 1, #bytes, 3 do
    local a, b, c = bytes:byte(i, i + 2)
    local n = a << 16 | (b or 0) << 8 | (c or 0)
    for k = 0, 3 do
      local at = (n >> 18 - 6 * k & 63) + 1
      out[#out + 1] = (k < 2 or k == 2 and b or c) and BASE64:sub(at, at) or "="
    end
  end
  return table.concat(out)
end

local function style_hash()
  return base64((core.hash.sha256(STYLE):gsub("%x%x", function(h) return string.char(tonumber(h, 16)) end)))
end

local function level_class(level) return LEVELS[level] and level or "informational" end
local function level_text(level) return ('<b class="l %s">%s</b>'):format(level_class(level), escape(level)) end
local function when(ms) return ms and time.format(ms):gsub("T", " "):gsub("Z$", "") or "no time" end

--- Findings by rule. findings: iterator as store:findings() gives. Returns an array of {rule, title, type, total, worst, levels =
-- {level = count}, first, last = ms, days = {day = {level = count}}, documents = at most SHOWN}, the worst first.
function report.summary(findings)
  local by, out = {}, {}
  for f in findings do
    local doc = assert(core.json.decode(f.doc))
    local r = by[f.rule]
    if not r then
      r = { rule = f.rule, title = doc.rule and doc.rule.title or doc.title,
        type = doc.type, total = 0, worst = f.level, levels = {}, days = {}, documents = {} }
      by[f.rule], out[#out + 1] = r, r
    end
    r.total, r.levels[f.level] = r.total + 1, (r.levels[f.level] or 0) + 1
    if (LEVELS[f.level] or 9) < (LEVELS[r.worst] or 9) then r.worst = f.level end
    if #r.documents < SHOWN then r.documents[#r.documents + 1] = doc end
    if doc.time then
      r.first, r.last = r.first or doc.time, doc.time
      local day = r.days[doc.time // DAY_MS] or {}
      r.days[doc.time // DAY_MS], day[f.level] = day, (day[f.level] or 0) + 1
    end
  end
  table.sort(out, function(a, b)
    local x, y = LEVELS[a.worst] or 9, LEVELS[b.worst] or 9
    if x ~= y then return x < y end
    return a.rule < b.rule
  end)
  return out
end

-- Days of a rule as columns of `step` days each, and the highest.
local function columns(rule, from, step)
  local out, most = {}, 1
  for day, levels in pairs(rule.days) do
    local at = (day - from) // step
    local c = out[at] or { n = 0 }
    out[at] = c
    for level, n in pairs(levels) do
      c.n, c[level_class(level)] = c.n + n, (c[level_class(level)] or 0) + n
    end
    most = math.max(most, c.n)
  end
  return out, most
end

local function bar(out, c, x, width, scale, title)
  local y = HEIGHT - 20
  out[#out + 1] = "<g><title>" .. title .. "</title>"
  for _, level in ipairs{ "informational", "low", "medium", "high", "critical" } do
    if c[level] then
      local h = math.max(1.5, c[level] * scale)
      y = y - h
      out[#out + 1] = ('<rect class="%s" x="%.1f" y="%.1f" width="%.1f" height="%.1f"/>'):format(level, x, y, width, h)
    end
  end
  out[#out + 1] = "</g>"
end

--- The timeline of a rule as SVG. from, to: days.
function report.timeline(rule, from, to)
  local step = math.max(1, math.ceil((to - from) / BARS))
  local n = math.max(1, math.ceil((to - from) / step))
  local cols, most = columns(rule, from, step)
  local width, scale = (WIDTH - 50) / n, (HEIGHT - 34) / most
  local out = { ('<svg viewBox="0 0 %d %d" role="img" aria-label="%d findings over time">'):format(WIDTH, HEIGHT, rule.total),
    ('<line x1="40" y1="%d" x2="%d" y2="%d"/><text x="34" y="18" text-anchor="end">%d</text><text x="34" y="%d" text-anchor="end">0</text>')
      :format(HEIGHT - 20, WIDTH - 10, HEIGHT - 20, most, HEIGHT - 18) }
  for at = 0, n - 1 do
    local c = cols[at]
    if c then
      local first = core.api.date(from + at * step)
      local more = step > 1 and (" and %d days more"):format(step - 1) or ""
      bar(out, c, 40 + at * width, math.max(1, math.min(width - 1, 24)), scale, ("%s%s: %d"):format(first, more, c.n))
    end
  end
  out[#out + 1] = ('<text x="40" y="%d">%s</text><text x="%d" y="%d" text-anchor="end">%s</text></svg>\n'):format(HEIGHT - 5,
    core.api.date(from), WIDTH - 10, HEIGHT - 5, core.api.date(math.max(from, to - 1)))
  return table.concat(out)
end

local function row(doc, cells)
  return ('<tr>%s<td>%s</td><td class="t">%s</td><td class="a">%s</td><td class="n">%s</td><td class="id">%s</td></tr>\n'):format(
    cells or "", level_text(doc.level), when(doc.time), escape(short(replay.about(doc))), escape(doc.evidence_total or ""), escape(doc.id))
end

local HEAD <const> = '<th>level</th><th>time</th><th>about</th><th class="n">records</th><th>finding</th></tr>\n'

local function cut(total) return total > SHOWN and ('<p class="dim">and %d more</p>\n'):format(total - SHOWN) or "" end

local function rule_part(out, rule, from, to)
  local levels = {}
  for level, n in pairs(rule.levels) do levels[#levels + 1] = { level, n } end
  table.sort(levels, function(a, b) return (LEVELS[a[1]] or 9) < (LEVELS[b[1]] or 9) end)
  for i, l in ipairs(levels) do levels[i] = ("%d %s"):format(l[2], level_text(l[1])) end
  out[#out + 1] = ('<h3>%s</h3>\n<p class="dim">%s &middot; %s &middot; %s</p>\n'):format(escape(rule.title), table.concat(levels, ", "),
    escape(rule.type), escape(rule.rule))
  if rule.first then out[#out + 1] = report.timeline(rule, from, to) end
  out[#out + 1] = ('<details><summary>findings</summary><div class="scroll"><table><tr>%s'):format(HEAD)
  for _, doc in ipairs(rule.documents) do out[#out + 1] = row(doc) end
  out[#out + 1] = "</table></div>" .. cut(rule.total) .. "</details>\n"
end

local function change_part(out, changes)
  out[#out + 1] = ("<h2>Differences</h2>\n<p>%s: %d added, %d removed, %d changed</p>\n"):format(escape(changes.what), #changes.added,
    #changes.removed, #changes.changed)
  for _, kind in ipairs{ "added", "removed", "changed" } do
    local list = changes[kind]
    if #list > 0 then
      out[#out + 1] = ('<h3 class="%s">%s</h3><div class="scroll"><table><tr><th>rule</th>%s%s'):format(kind, kind,
        kind == "changed" and "<th>what</th>" or "", HEAD)
      for i = 1, math.min(#list, SHOWN) do
        local doc = list[i].after or list[i]
        local what = list[i].fields and ('<td class="a">%s</td>'):format(escape(short(report.what(list[i], "\u{2192}")))) or ""
        out[#out + 1] = row(doc, ('<td class="a">%s</td>%s'):format(escape(doc.title), what))
      end
      out[#out + 1] = "</table></div>" .. cut(#list) .. "\n"
    end
  end
end

--- What changed in a finding, as text: level high -> critical, evidence. change: of replay.changes; arrow: another one than ->.
function report.what(change, arrow)
  local out = {}
  for i, name in ipairs(change.fields) do
    local a, b = change.before[name], change.after[name]
    if name == "time" then a, b = a and time.format(a), b and time.format(b) end
    local plain = type(a) ~= "table" and type(b) ~= "table"
    out[i] = plain and ("%s %s %s %s"):format(name, tostring(a), arrow or "->", tostring(b)) or name
  end
  return table.concat(out, ", ")
end

--- The whole file. r: {title, notes = array of lines, rules = from report.summary, changes = of replay.changes with `what`, or nil}.
function report.html(r)
  local from, last, total = math.maxinteger, math.mininteger, 0
  for _, rule in ipairs(r.rules) do
    total = total + rule.total
    if rule.first then from, last = math.min(from, rule.first // DAY_MS), math.max(last, rule.last // DAY_MS) end
  end
  local out = { '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">\n<meta http-equiv="Content-Security-Policy" content="',
    ("default-src 'none'; style-src 'sha256-%s'; base-uri 'none'; form-action 'none'\">\n"):format(style_hash()),
    '<meta name="referrer" content="no-referrer"><meta name="viewport" content="width=device-width,initial-scale=1">\n',
    ("<title>%s</title><style>%s</style></head><body>\n<h1>%s</h1>\n"):format(escape(r.title), STYLE, escape(r.title)) }
  for _, note in ipairs(r.notes) do out[#out + 1] = ('<p class="dim">%s</p>\n'):format(escape(note)) end
  out[#out + 1] = ('<table><tr><th>rule</th><th>worst</th><th class="n">findings</th><th>first</th><th>last</th></tr>\n')
  for _, rule in ipairs(r.rules) do
    out[#out + 1] = ('<tr><td class="a">%s</td><td>%s</td><td class="n">%d</td><td class="t">%s</td><td class="t">%s</td></tr>\n'):format(
      escape(rule.title), level_text(rule.worst), rule.total, when(rule.first), when(rule.last))
  end
  out[#out + 1] = ("</table>\n<p>%d findings of %d rules; all times are UTC</p>\n"):format(total, #r.rules)
  if r.changes then change_part(out, r.changes) end
  if total > 0 then out[#out + 1] = "<h2>Rules</h2>\n" end
  for _, rule in ipairs(r.rules) do rule_part(out, rule, from, last + 1) end
  out[#out + 1] = "</body></html>\n"
  return table.concat(out)
end

return report
