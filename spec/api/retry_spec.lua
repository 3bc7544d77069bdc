-- retry_spec.lua: how long a call waits, on a virtual clock.
local api = require("defendis_internals").api

local WALL <const> = 1767225600000 -- Thu, 01 Jan 2026 00:00:00 GMT

-- Runs a call whose n-th answer is answers(n); jump(n): what the wall clock is ahead then. Returns step, error, waits in ms.
local function run(options, answers, jump)
  local now, sent, ahead = 0, {}, 0
  local f = api.fetch(api.ratelimit(0), options)
  while true do
    local step, what = f:next(now, WALL + now + ahead)
    if step == "send" then
      sent[#sent + 1] = now
      local answer = answers(#sent)
      f:answer(now, WALL + now + ahead, answer)
      ahead = jump and jump(#sent) or 0
    elseif step == "wait" then
      now = what
    else
      local waits = {}
      for i = 2, #sent do waits[i - 1] = sent[i] - sent[i - 1] end
      return step, what, waits
    end
  end
end

describe("a retry", function()
  it("H4: waits until a date 30 s ahead, and never an hour because the server's clock is an hour ahead", function()
    for seed = 1, 50 do
      local _, _, waits = run({ seed = seed }, function(n)
        return n == 1 and { status = 429, retry_after = "Thu, 01 Jan 2026 00:00:30 GMT" } or { status = 200 }
      end)
      assert.is_true(waits[1] >= 30000 and waits[1] <= 31000, waits[1])
    end
    local step, err, waits = run({}, function() return { status = 429, retry_after = "Thu, 01 Jan 2026 01:00:30 GMT" } end)
    assert.same({ "failed", "rate_limit", WALL + 3630000 }, { step, err.kind, err.retry_at })
    assert.same({}, waits)
    -- a deadline that the wait would pass ends it at once too
    step, err, waits = run({ deadline = 20000 }, function() return { status = 429, retry_after = "Thu, 01 Jan 2026 00:00:30 GMT" } end)
    assert.same({ "failed", "rate_limit", WALL + 30000 }, { step, err.kind, err.retry_at })
    assert.same({}, waits)
  end)

  it("H6: spreads its waits evenly over 0 to 1, 2, 4 and 8 s after 429 without Retry-After, and no two clients wait alike", function()
    local sums, seen, same = { 0, 0, 0, 0 }, {}, 0
    for seed = 1, 1000 do
      local step, _, waits = run({ seed = seed }, function(n) return { status = n < 5 and 429 or 200 } end)
      assert.equal("done", step)
      for n = 1, 4 do
        assert.is_true(waits[n] >= 0 and waits[n] <= 1000 * 2 ^ (n - 1), waits[n])
        sums[n] = sums[n] + waits[n]
      end
      local all = table.concat(waits, " ")
      if seen[all] then same = same + 1 end
      seen[all] = true
    end
    for n = 1, 4 do
      local half = 500 * 2 ^ (n - 1)
      assert.is_true(math.abs(sums[n] / 1000 - half) < half / 10, ("wait %d: %.0f"):format(n, sums[n] / 1000))
    end
    assert.equal(0, same)
  end)

  it("H32: waits as long as it meant to when the wall clock jumps an hour meanwhile, either way", function()
    for _, ms in ipairs{ 3600000, -3600000 } do
      local step, _, waits = run({ deadline = 100000 }, function(n)
        return n < 3 and { status = 503, retry_after = "5" } or { status = 200 }
      end, function() return ms end)
      assert.equal("done", step)
      for _, wait in ipairs(waits) do assert.is_true(wait >= 5000 and wait <= 6000, wait) end
    end
  end)
end)
