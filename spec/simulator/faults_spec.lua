-- faults_spec.lua: misbehaviour on request.
local simulated = require "support.simulated"

local PATH, QUERY = "/api/v1/dataleaks/credentials", { domain = "acme.example", page = "2" }

describe("simulated faults", function()
  local honest = select(2, simulated.new{ records = 2000 }("GET", PATH, QUERY))

  local function with(faults)
    local ask = simulated.new{ records = 2000, faults = faults }
    return ask("GET", PATH, QUERY)
  end

  it("answer 429, 500, 502 as HTML and 503 instead of data", function()
    for _, status in ipairs{ 429, 500, 503 } do
      local body, answer = with(status .. "=1")
      assert.equal(status, answer.status)
      assert.is_string(body.error)
    end
    local _, answer = with("502=1")
    assert.equal(502, answer.status)
    assert.equal("text/html", answer.headers["content-type"])
    assert.matches("<html>", answer.body)
  end)

  it("send Retry-After with about half of the 429, and never with 429-bare", function()
    local count = { ["429"] = 0, ["429-bare"] = 0 }
    for name in pairs(count) do
      local ask = simulated.new{ records = 10, faults = name .. "=1" }
      for _ = 1, 400 do
        local _, answer = ask("GET", PATH, QUERY)
        if answer.headers["retry-after"] == "1" then count[name] = count[name] + 1 end
      end
    end
    assert.is_true(count["429"] > 120 and count["429"] < 280)
    assert.equal(0, count["429-bare"])
  end)

  it("cut, drip or spoil a body of 200, and leave refusals alone", function()
    local _, answer = with("truncate=1")
    assert.equal(honest.body, answer.body)
    assert.is_true(answer.truncate < #honest.body)
    _, answer = with("slow=1")
    assert.equal(honest.body, answer.body)
    assert.is_true(answer.slow.bytes < #honest.body and answer.slow.ms > 0)
    local body
    body, answer = with("badjson=1")
    assert.equal(200, answer.status)
    assert.is_string(body)
    local ask = simulated.new{ records = 10, faults = "badjson=1,truncate=1,slow=1" }
    body, answer = ask("GET", PATH)
    assert.equal("Missing required parameter: domain", body.error)
    assert.is_nil(answer.truncate or answer.slow)
  end)

  it("repeat the page before, change the totals, or promise more behind an empty page", function()
    local body = with("repeat=1")
    assert.same(simulated.new{ records = 2000 }("GET", PATH, { domain = "acme.example" }), body)
    body = with("totals=1")
    assert.equal(1, math.abs(body.paging.totalRecords - 1400))
    assert.equal(1, math.abs(body.paging.totalPages - 14))
    assert.equal(100, #body.data)
    body = with("emptymore=1")
    assert.equal(0, #body.data)
    assert.is_true(body.paging.hasMore)
    assert.equal(3, body.paging.nextPage)
  end)

  it("spare health, the simulator's own paths and wrong keys", function()
    local ask = simulated.new{ records = 10, faults = "500=1" }
    for _, path in ipairs{ "/health", "/simulator/log" } do
      local _, answer = ask("GET", path)
      assert.equal(200, answer.status)
    end
    local _, answer = ask("GET", PATH, QUERY, nil, {})
    assert.equal(401, answer.status)
  end)

  it("come as often as asked, at the same requests in each run", function()
    local function run(seed)
      local ask, times, hits = simulated.new{ records = 10, faults = "500=0.1,503=0.05", seed = seed }, {}, 0
      for i = 1, 2000 do
        local _, answer = ask("GET", PATH, QUERY)
        times[i] = answer.status
        if answer.status ~= 200 then hits = hits + 1 end
      end
      return table.concat(times, " "), hits
    end
    local times, hits = run(1)
    assert.equal(times, (run(1)))
    assert.not_equal(times, (run(2)))
    assert.is_true(hits > 220 and hits < 360)
  end)

  it("change at run time", function()
    local ask = simulated.new{ records = 10 }
    ask("POST", "/simulator/fault", { set = "503=1" }, nil, {})
    local _, answer = ask("GET", PATH, QUERY)
    assert.equal(503, answer.status)
    local body
    body, answer = ask("POST", "/simulator/fault", { set = "504=1" })
    assert.equal(400, answer.status)
    assert.matches('unknown fault "504", nearest fault "50%d"', body.error)
    ask("POST", "/simulator/fault")
    _, answer = ask("GET", PATH, QUERY)
    assert.equal(200, answer.status)
  end)
end)
