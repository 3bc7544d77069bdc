-- sunk.lua: a sink of a user's own as a file beside the pipeline, which does what a test tells it, and what it took.
local cjson = require "cjson"
local run = require "support.run"

local sunk = {}

-- Each document that is acknowledged is a line of TO: id, kind, time, JSON; each batch one write. While a file TO.down is there the
-- sink is away; `delay` makes a batch take as many seconds.
local SOURCE = [[
local check = require "defendis.check"
local task = require "defendis.task"
-- What a kill left of a write was never acknowledged. By a rename: a kill in here must not cost the rest.
local function whole_lines(path)
  local f = io.open(path, "rb")
  if not f then return end
  local size = f:seek "end"
  if size > 0 and f:seek("end", -1) and f:read(1) ~= "\n" then
    f:seek "set"
    local kept = f:read("a"):match("^.*\n") or ""
    local draft <close> = assert(io.open(path .. ".new", "wb"))
    assert(draft:write(kept) and draft:flush() and os.rename(path .. ".new", path))
  end
  f:close()
end
return {
  OPTIONS = { to = check.required(check.text), mode = check.text, documents = check.count, wants = check.text, delay = check.number,
    alerting = check.boolean },
  GUARANTEE = "at least once",
  new = function(o, context)
    local path, calls = context.folder .. o.to, 0
    whole_lines(path)
    local file = assert(io.open(path, "ab"))
    file:setvbuf("full", 1 << 22)
    local function down()
      local f = io.open(path .. ".down")
      if f then f:close() end
      return f
    end
    local function judge(d)
      if o.mode == "poison" and d.id:find("^0") then return { dead = "poison\27[31m" } end
      if o.mode == "partial" and calls %% 2 == 1 and d.id:find("[02468ace]$") then return { again = "busy" } end
      return true
    end
    return { name = "test:" .. o.to, batch = { documents = o.documents }, alerting = o.alerting,
      wants = o.wants and function(kind) return kind == o.wants end,
      send = function(_, batch)
        calls = calls + 1
        if o.delay then task.sleep(o.delay) end
        if down() then return nil, { message = "connection refused", retryable = true } end
        if o.mode == "flaky" and calls %% 5 == 2 then return nil, { message = "503", retryable = true } end
        if o.mode == "too_big" and #batch > 7 then return nil, { kind = "too_big", message = "413" } end
        local results, lines = {}, {}
        for i, d in ipairs(batch) do
          results[i] = judge(d)
          if results[i] == true then
            lines[#lines + 1] = ("%%s\t%%s\t%%s\t%%s\n"):format(d.id, d.kind, d.time or "-", d.json)
          end
        end
        file:write(table.concat(lines))
        file:flush()
        return results
      end,
      close = function() file:close() end }
  end,
}]]

--- Puts the file sink.lua into the pipeline's folder. Returns the pipeline.
function sunk.write(p)
  run.write(p.folder .. "/sink.lua", (SOURCE:gsub("%%%%", "%%")))
  return p
end

--- A sink for the list of a pipeline, as source. options: as source, "mode = ..., documents = ...".
function sunk.entry(to, options) return ('sink "sink.lua" { to = "%s"%s }'):format(to, options and ", " .. options or "") end

--- What the sink took, in its order: array of {id, kind, time, json}.
function sunk.took(p, to)
  local out = {}
  for line in io.lines(p.folder .. "/" .. to) do
    local id, kind, time, json = line:match("^(%S+)\t(%S+)\t(%S+)\t(.*)$")
    out[#out + 1] = { id = assert(id, line), kind = kind, time = tonumber(time), json = json }
  end
  return out
end

--- The ids of the records behind what it took, sorted, each once; and how many came twice or more often. kind: only of this one.
function sunk.records(p, to, kind)
  local seen, ids, twice = {}, {}, 0
  for _, d in ipairs(sunk.took(p, to)) do
    if not kind or d.kind == kind then
      if seen[d.id] then twice = twice + 1 else ids[#ids + 1] = cjson.decode(d.json).id end
      assert(not seen[d.id] or seen[d.id] == d.json, "one id, two documents")
      seen[d.id] = d.json
    end
  end
  table.sort(ids)
  return ids, twice
end

--- Makes the sink be away, or come back. Returns the pipeline.
function sunk.down(p, to, is_down)
  local path = p.folder .. "/" .. to .. ".down"
  if is_down then run.write(path, "") else os.remove(path) end
  return p
end

return sunk
