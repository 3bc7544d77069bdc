-- planner.lua: what a run would ask for, before it does: the first page of each window is read, and no state is changed.
local core = require "defendis.core"
local scope = require "defendis.pipeline.scope"
local split = require "defendis.pipeline.split"
local task = require "defendis.task"
local walker = require "defendis.pipeline.walker"

local planner = {}

-- Adds what the first page of a list says to the figures of its stream. first: the page that would be asked for first.
local function count(figures, page, first)
  local paging = page:paging() or {}
  local records, pages = paging.totalRecords, paging.totalPages
  if math.type(records) ~= "integer" or math.type(pages) ~= "integer" then
    records, pages = page:len(), 1
    figures.exact = false -- the list has no totals
  end
  figures.requests = figures.requests + math.max(pages - first + 1, 1)
  figures.records = figures.records + records
  figures.seen, figures.seen_bytes = figures.seen + page:len(), figures.seen_bytes + page:bytes()
  page:close()
end

local function new_figures(dataset, input)
  return { dataset = dataset, input = input, windows = 0, closed = 0, requests = 0, records = 0, bytes = 0, seen = 0, seen_bytes = 0,
    exact = true }
end

-- Asks for the first page of each list. jobs: {figures, path, query, first}. Returns {requests, ms} that it took, or nil, err.
local function probe(client, jobs, concurrency, tick)
  local started, functions, failed = core.sys.mono_ms(), {}, nil
  for i, job in ipairs(jobs) do
    functions[i] = function()
      if failed or job.figures.error then return end
      local ok, page = pcall(client:pages(job.path, job.query))
      if ok then
        count(job.figures, page, job.first)
        tick(i)
      elseif type(page) ~= "table" then
        error(page, 0)
      elseif page.kind == "scope" or page.kind == "not_found" or page.kind == "invalid" then
        job.figures.error, job.figures.fault = page.message, page
      else
        failed = failed or page
      end
    end
  end
  for _, outcome in ipairs(task.parallel(functions, { concurrency = concurrency })) do
    if not outcome.ok then error(outcome[1], 0) end
  end
  if failed then return nil, failed end
  return { requests = #jobs, ms = core.sys.mono_ms() - started }
end

local function estimate(streams, took)
  local total = { streams = streams, windows = 0, closed = 0, requests = 0, records = 0, bytes = 0, exact = true, asked = took.requests }
  local seen, bytes = 0, 0
  for _, f in ipairs(streams) do seen, bytes = seen + f.seen, bytes + f.seen_bytes end
  for _, f in ipairs(streams) do
    -- of a list without records its envelope is known
    f.bytes = f.seen > 0 and math.ceil(f.records * f.seen_bytes / f.seen) or f.seen_bytes
    for _, name in ipairs{ "windows", "closed", "requests", "records", "bytes" } do total[name] = total[name] + f[name] end
    total.exact = total.exact and f.exact and not f.error
    f.seen, f.seen_bytes, f.fault = nil, nil, nil
  end
  if took.requests > 0 then
    total.requests_per_second = took.requests * 1000 / math.max(took.ms, 1)
    total.minutes = total.requests / total.requests_per_second / 60
  end
  return total
end

--- What fetch would ask for. Returns the figures, see planner.run, or nil, err.
function planner.list(client, dataset, path, query)
  local figures = new_figures(dataset, "")
  figures.windows = 1
  local took, err = probe(client, { { figures = figures, path = path, query = query, first = 1 } }, 1, function() end)
  if not took then return nil, err end
  if figures.fault then return nil, figures.fault end
  return estimate({ figures }, took)
end

--- What ingest would ask for by now. plan: from file.read; store: its state, or one in memory; client: an open client; tick: function(done)
-- for the progress. Returns {streams = array of {dataset, input, windows, closed = of them, requests, records, bytes, exact, error},
-- windows, closed, requests, records, bytes, exact = false when totals were not told, asked = requests that this took, minutes and
-- requests_per_second at the rate at which they were answered}, or nil, err.
function planner.run(plan, store, client, now, tick)
  local streams, err = scope.streams(plan, client)
  if not streams then return nil, err end
  local all, jobs = {}, {}
  for i, s in ipairs(streams) do all[i] = new_figures(s.dataset, s.value) end
  local windows = assert(core.api.windows{ since = plan.since, ["until"] = plan.until_day, step = plan.step, settle_ms = plan.settle_ms,
    start = plan.since })
  for from, to in function() return windows:next(now) end do
    for i, s in ipairs(streams) do
      for _, row in ipairs(split.rows(store, s, from, to)) do
        all[i].windows = all[i].windows + 1
        if walker.is_final(row, plan.lateness_ms) then
          all[i].closed = all[i].closed + 1
        else
          jobs[#jobs + 1] = { figures = all[i], path = s.entry.path, first = 1, query = { [s.input] = s.value,
            fromDate = core.api.date(row.from), toDate = core.api.date(row.to), pageSize = plan.page_size } }
        end
      end
    end
  end
  local took
  took, err = probe(client, jobs, plan.concurrency, tick)
  if not took then return nil, err end
  return estimate(all, took)
end

return planner
