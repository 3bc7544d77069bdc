local cjson = require "cjson"
local run = require "support.run"
local scripted = require "support.scripted"

local PIPELINE = [[
return pipeline{
  scope = { domain = { "acme.example" } }, datasets = { "dataleaks.credentials" }, page_size = 10,
  since = "2026-01-01", ["until"] = "2026-01-05", sinks = { jsonl{ path = "out" } }, store = "state.db",
}
]]

-- The first of January has 25 records, the second 10, the third 1, the fourth none.
local API = [[
  local sizes = { ["2026-01-01"] = 25, ["2026-01-02"] = 10, ["2026-01-03"] = 1 }
  return function(req)
    if req.query.domain == "other.example" then return { status = 403, body = '{"error":"You don\'t have permission to view this"}' } end
    local day, records = req.query.fromDate or "2026-01-01", {}
    for i = 1, sizes[day] or 0 do records[i] = record(day .. "-" .. i, tonumber(day:sub(-2))) end
    return list(req, records)
  end
]]

describe("--plan", function()
  local api
  before_each(function() api = scripted.start(API) end)
  after_each(function()
    api.stop()
    run.clean()
  end)

  it("of ingest reads the first page of each window, counts what all would take, and changes nothing", function()
    local folder = run.folder()
    local path = run.write(folder .. "/p.lua", PIPELINE)
    local r = run.defendis(("ingest %s --plan --json"):format(path), { env = api.env })
    assert.equal(0, r.code, r.err)
    local plan = cjson.decode(r.out)
    assert.equal(4, #api.log())
    for _, line in ipairs(api.log()) do assert.matches("&page=1&pageSize=10&", line) end
    assert.same({ 4, 0, 6, 36, 4, true }, { plan.windows, plan.closed, plan.requests, plan.records, plan.asked, plan.exact })
    assert.is_true(plan.bytes > 36 * 50 and plan.bytes < 36 * 300)
    assert.near(plan.requests / plan.requests_per_second / 60, plan.minutes, 1e-9)
    assert.is_true(plan.minutes > 0)
    assert.equal("p.lua\n", io.popen("ls " .. folder):read "a")
  end)

  it("asks for as many requests as the run then makes, and says which windows are closed", function()
    local path = run.write(run.folder() .. "/p.lua", PIPELINE)
    local plan = cjson.decode(run.defendis(("ingest %s --plan --json"):format(path), { env = api.env }).out)
    local before = #api.log()
    assert.equal(0, run.defendis("ingest " .. path, { env = api.env }).code)
    assert.equal(plan.requests, #api.log() - before)
    before = #api.log()
    local r = run.defendis(("ingest %s --plan"):format(path), { env = api.env })
    assert.equal(0, r.code, r.err)
    assert.matches("dataleaks.credentials  acme.example        4       4         0        0  0 B\n"
      .. "nothing to do: all windows are closed\n$", r.out)
    assert.equal(before, #api.log())
    r = run.defendis(("ingest %s --plan --backfill b --from 2026-01-01 --to 2026-01-03 --json"):format(path), { env = api.env })
    plan = cjson.decode(r.out)
    assert.same({ 2, 0, 4, 35 }, { plan.windows, plan.closed, plan.requests, plan.records })
  end)

  it("names an input that is refused, and counts the others", function()
    local path = run.write(run.folder() .. "/p.lua", (PIPELINE:gsub('"acme.example"', '%0, "other.example"')))
    local r = run.defendis(("ingest %s --plan"):format(path), { env = api.env })
    assert.equal(6, r.code)
    assert.matches("defendis: dataleaks.credentials other.example: [^\n]*permission", r.err)
    assert.matches("all  .*%f[%d]8       0 +6 +36 ", r.out)
    assert.matches("\n6 requests, about %d+ [^\n]* as %d were answered now\n$", r.out)
  end)

  it("of fetch asks one page", function()
    local r = run.defendis("fetch dataleaks.credentials domain=acme.example --page-size 10 --plan", { env = api.env })
    assert.equal(0, r.code, r.err)
    assert.matches("\ndataleaks.credentials  domain=acme.example        1       0         3       25  %d[^\n]*\n3 requests, about ", r.out)
    assert.equal(1, #api.log())
    r = run.defendis("fetch dataleaks.credentials domain=other.example --plan", { env = api.env })
    assert.same({ 3, "" }, { r.code, r.out })
  end)

  it("does not go with what never ends", function()
    local path = run.write(run.folder() .. "/p.lua", PIPELINE)
    assert.equal(2, run.defendis(("ingest %s --plan --every 1m"):format(path), { env = api.env }).code)
  end)
end)
