-- data_spec.lua: the records themselves: determinism, order in time, people, odd values.
local cjson = require "cjson"
local data = require "defendis.simulator.data"

local INPUTS = { ["dataleaks.credentials"] = "acme.example", ["dataleaks.documents"] = "globex.example",
  ["dataleaks.paymentcards"] = "411111", exposure = "acme-labs.example", ransomware = "acme.example" }
local TIME = { exposure = "detectedAt", ransomware = "publishedAt" }

local function new(seed, records)
  return data.new{ seed = seed or 1, records = records or 20000, from = "2026-01-01", days = 90 }
end

local function iso(seconds) return os.date("!%Y-%m-%dT%H:%M:%SZ", seconds) end

describe("simulated data", function()
  it("splits the records asked for over the watched domains, without losing one", function()
    for _, records in ipairs{ 0, 1, 9, 20000, 20011 } do
      local d, total = new(1, records), 0
      for _, domain in ipairs{ "acme.example", "acme-labs.example", "globex.example" } do
        total = total + d:series("dataleaks.credentials", domain).n
      end
      assert.equal(records, total)
    end
    assert.equal(14000, new():series("dataleaks.credentials", "acme.example").n)
  end)

  it("is the same for the same seed in any order, and other data for another seed or input", function()
    local a = new():series("dataleaks.credentials", "acme.example")
    local b = new():series("dataleaks.credentials", "acme.example")
    local forward = {}
    for i = 0, 999 do forward[i] = a.record(i) end
    for i = 999, 0, -1 do assert.equal(forward[i], b.record(i)) end
    assert.not_equal(forward[5], new(2):series("dataleaks.credentials", "acme.example").record(5))
    assert.not_equal(a.id(5), new():series("dataleaks.credentials", "globex.example").id(5))
  end)

  it("is valid JSON in every dataset, with an id of its own and a time that never falls", function()
    for dataset, input in pairs(INPUTS) do
      local series, seen, last = new():series(dataset, input), {}, 0
      assert.is_true(series.n > 0)
      for i = 0, series.n - 1 do
        local text = series.record(i)
        local record = cjson.decode(text)
        assert.is_truthy(utf8.len(text))
        assert.is_nil(seen[record.id])
        seen[record.id] = true
        assert.equal(series.id(i), record.id)
        local time = series.time(i)
        assert.equal(iso(time), record[TIME[dataset] or "leakedAt"])
        assert.is_true(time >= last)
        last = time
      end
      assert.is_true("2026-01-01T00:00:00Z" <= iso(series.time(0)) and iso(last) < "2026-04-01T00:00:00Z")
    end
  end)

  it("finds the first record of a period by bisection where counting finds it", function()
    local series = new():series("dataleaks.credentials", "globex.example")
    for _, time in ipairs{ 0, series.time(0), series.time(700), series.time(700) + 1, series.time(series.n - 1) + 1 } do
      local expected = 0
      while expected < series.n and series.time(expected) < time do expected = expected + 1 end
      assert.equal(expected, data.lower_bound(series, time))
    end
  end)

  it("has records exactly at midnight on most days", function()
    local series, midnights = new():series("dataleaks.credentials", "acme.example"), 0
    for i = 0, series.n - 1 do if series.time(i) % 86400 == 0 then midnights = midnights + 1 end end
    assert.is_true(midnights >= 75)
  end)

  it("keeps a credential near 610 bytes and shows every odd value", function()
    local series, all = new():series("dataleaks.credentials", "acme.example"), {}
    for i = 0, series.n - 1 do all[i + 1] = series.record(i) end
    local text = table.concat(all, "\n")
    local bytes = #text / series.n
    assert.is_true(bytes > 600 and bytes < 650)
    for _, odd in ipairs{ '"logId":4111111111111111,', '"logId":9223372036854775807,', '"logId":9223372036854775808,',
      '"tags":[]', '"details":{}', '"exported":null', '"infectedMachine":null', "田中", "محمد", "\\ud83d\\ude00" } do
      assert.is_truthy(text:find(odd, 1, true), odd)
    end
  end)

  it("lets bursts happen: one person, four services, within a day", function()
    for _, records in ipairs{ 100, 20000 } do
      local series, bursts = new(1, records):series("dataleaks.credentials", "acme.example"), 0
      local window = {}
      for i = 0, series.n - 1 do
        local record = cjson.decode(series.record(i))
        window[#window + 1] = { email = record.email:lower(), name = record.source.name, time = series.time(i) }
        while window[1].time <= series.time(i) - 86400 do table.remove(window, 1) end
        local names, distinct = {}, 0
        for _, other in ipairs(window) do
          if other.email == record.email:lower() and not names[other.name] then
            names[other.name], distinct = true, distinct + 1
          end
        end
        if distinct >= 4 then bursts = bursts + 1 end
      end
      assert.is_true(bursts >= math.max(1, records // 1000))
      assert.is_true(bursts <= series.n // 50 + 1)
    end
  end)

  it("gives few people many records and many people few", function()
    local series, of, people, most = new():series("dataleaks.credentials", "acme.example"), {}, 0, 0
    for i = 0, series.n - 1 do
      local p = series.person(i)
      if not of[p] then people = people + 1 end
      of[p] = (of[p] or 0) + 1
      most = math.max(most, of[p])
    end
    assert.is_true(people > series.n / 10 and most > 5 * series.n / people)
  end)

  it("gives back exactly the records of a person, and a record by its id", function()
    for _, records in ipairs{ 10, 3000 } do
      local d = new(3, records)
      local series, of = d:series("dataleaks.credentials", "acme.example"), {}
      for i = 0, series.n - 1 do
        local p = series.person(i)
        of[p] = of[p] or {}
        table.insert(of[p], i)
        assert.equal(series.record(i), d:find(series.id(i), { "globex.example", "acme.example" }))
      end
      for p = 0, series.population - 1 do assert.same(of[p] or {}, series.records_of(p)) end
      assert.is_nil(d:find(series.id(1), { "globex.example" }))
    end
  end)

  it("gives card numbers a valid check digit", function()
    local series = new():series("dataleaks.paymentcards", "555555")
    for i = 0, 99 do
      local digits, sum = series.record(i):match('"cardNumber":"(555555%d%d%d%d%d%d%d%d%d%d)"'), 0
      for k = 16, 1, -1 do
        local v = tonumber(digits:sub(k, k)) * ((16 - k) % 2 + 1)
        sum = sum + v // 10 + v % 10
      end
      assert.equal(0, sum % 10)
    end
  end)
end)
