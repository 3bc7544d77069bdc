local api = require("defendis_internals").api

-- A page as an honest server writes it; `change` says what is different.
local function page(n, size, total, change)
  local pages = (total + size - 1) // size
  local last = n >= pages
  local g = { current = n, size = size, total_records = total, total_pages = pages, has_more = not last,
    next = not last and n + 1,
    items = math.max(0, math.min(size, total - (n - 1) * size)), hash = 1000 + n }
  for k, v in pairs(change or {}) do
    if v == "absent" then g[k] = nil else g[k] = v end
  end
  return g
end

-- Feeds pages(n) until the pager has decided. Returns decision, error, records accepted, pages asked for.
local function walk(pager, pages, n, most)
  local items, asked = 0, 0
  while true do
    local g = pages(n)
    asked, items = asked + 1, items + (g.items or 0)
    local step, more = pager:feed(g)
    if step ~= "next" then return step, more, items, asked end
    assert.are.equal(n + 1, more)
    assert.is_true(asked < (most or 2000), "the pager goes on for ever")
    n = more
  end
end

local function honest(size, total) return function(n) return page(n, size, total) end end

-- A list of three honest pages of 10, where page `at` has changes.
local function with(at, change, total)
  return walk(api.pager(10, 1), function(n) return page(n, 10, total or 30, n == at and change or nil) end, 1)
end

local function failed(pattern, step, err)
  assert.are.equal("fail", step)
  assert.are.equal("decode", err.kind)
  assert.matches(pattern, err.message)
end

local function rewalked(pattern, step, err)
  assert.are.equal("rewalk", step)
  assert.are.equal("incomplete", err.kind)
  assert.matches(pattern, err.message)
end

describe("pager", function()
  it("follows an honest list of any size to its end and no further", function()
    for size = 1, 7 do
      for total = 0, 40 do
        local step, _, items, asked = walk(api.pager(size, 1), honest(size, total), 1)
        assert.are.equal("done", step)
        assert.are.equal(total, items)
        assert.are.equal(math.max(1, (total + size - 1) // size), asked)
      end
    end
  end)

  it("accepts an empty list that counts no page or one", function()
    assert.are.equal("done", (with(1, { total_pages = 1 }, 0)))
    assert.are.equal("done", (with(1, { total_pages = 0 }, 0)))
  end)

  it("accepts that the server caps the page size, from the first page on", function()
    local step, _, items, asked = walk(api.pager(1000, 1), honest(10, 95), 1)
    assert.are.equal("done", step)
    assert.are.equal(95, items)
    assert.are.equal(10, asked)
  end)

  it("walks again when the page size changes on the way", function()
    rewalked("pageSize changed from 10 to 5 at page 2", with(2, { size = 5, total_pages = 6, items = 5,
      has_more = true, next = 3 }))
  end)

  it("walks again when totals moved since the first page", function()
    rewalked("totals changed", with(3, { total_records = 29, items = 9 }))
    rewalked("totals changed", with(2, { total_records = 31, total_pages = 4 }))
    rewalked("totals changed", with(2, { total_records = "absent" }))
    rewalked("totals changed", with(2, { total_pages = "absent" }))
    rewalked("totals changed", with(1, { total_pages = "absent" }))
    rewalked("totals changed", with(1, { total_records = "absent" }))
  end)

  it("walks again when a page repeats an earlier one", function()
    rewalked("page 2 repeats", with(2, { hash = 1001 }))
    rewalked("page 3 repeats", with(3, { hash = 1001 }))
  end)

  it("notices the first page and the 63 last ones when they come again", function()
    for _, back in ipairs{ 1, 2, 30, 63, 199 } do
      local step, err = walk(api.pager(1, 1), function(n) return page(n, 1, 500,
        n == 200 and { hash = 1200 - back }) end, 1)
      rewalked("page 200 repeats", step, err)
    end
    for at = 2, 140 do
      local step, err = walk(api.pager(1, 1), function(n) return page(n, 1, 500, n == at and { hash = 999 + n }) end, 1)
      rewalked("page " .. at .. " repeats", step, err)
    end
  end)

  it("does not take two empty pages for a repetition", function()
    local p = api.pager{ page_size = 10, next_page = 3, pages = 2, items = 0 }
    assert.are.equal("done", (p:feed{ current = 3, has_more = false, items = 0, hash = 7 }))
    local step, err = with(2, { items = 0, hash = 1001 })
    rewalked("empty but says that more follow", step, err)
  end)

  it("fails when another page came than was asked for", function()
    failed("asked for page 2 and got currentPage 1", with(2, { current = 1 }))
    failed("asked for page 1 and got currentPage 0", with(1, { current = 0 }))
    assert.are.equal("done", (with(2, { current = "absent" })))
  end)

  it("fails when nextPage does not go forward or leaves pages out", function()
    failed("nextPage is 2 and does not go forward", with(2, { next = 2 }))
    failed("nextPage is 1 and does not go forward", with(2, { next = 1 }))
    failed("nextPage is %-9223372036854775808", with(1, { next = math.mininteger }))
    failed("nextPage is 4 and leaves pages out", with(2, { next = 4 }))
    failed("nextPage is 9223372036854775807", with(1, { next = math.maxinteger }))
  end)

  it("fails when hasMore and nextPage contradict each other", function()
    failed("hasMore is true but nextPage is null", with(2, { next = false }))
    failed("hasMore is false but nextPage is 3", with(2, { has_more = false }))
    failed("hasMore is false but nextPage is 4", with(3, { next = 4 }))
  end)

  it("fails when hasMore and totalPages contradict each other", function()
    failed("page 2: totalPages is 3, yet it says that it is the last", with(2, { has_more = false, next = false }))
    failed("page 3: totalPages is 3, yet it says that more follow", with(3, { has_more = true, next = 4 }))
    failed("yet it says that it is the last", with(2, { has_more = "absent", next = false }))
  end)

  it("says of a list that ends before its records do, or goes on behind a million pages, that a smaller window helps", function()
    for _, got in ipairs{ { with(1, { total_pages = 2 }) }, { api.pager{ page_size = 1, next_page = 1000000, pages = 999999 }:feed{
      current = 1000000, size = 1, has_more = true, items = 1 } } } do
      assert.same({ "fail", "incomplete" }, { got[1], got[2].kind })
      assert.matches("use a smaller window", got[2].message)
    end
    assert.equal("next", (api.pager{ page_size = 1, next_page = 999999, pages = 999998 }:feed{ current = 999999, size = 1,
      has_more = true, items = 1 }))
  end)

  it("fails when totalPages does not follow from totalRecords and pageSize", function()
    failed("totalPages is 4 but 30 records in pages of 10 make 3$", with(1, { total_pages = 4 }))
    failed("totalPages is 2", with(1, { total_pages = 2 }, 0))
  end)

  it("fails on figures that are no counts", function()
    failed("is not a count", with(1, { size = 0 }))
    failed("is not a count", with(1, { size = -5 }))
    failed("is not a count", with(1, { total_records = -2 }))
    failed("is not a count", with(1, { total_pages = math.mininteger }))
    failed("is not a count", with(1, { items = -1 }))
    failed("has 11 records but pageSize 10", with(1, { items = 11 }))
    failed("has 11 records but pageSize 10", with(1, { items = 11, size = "absent" }))
  end)

  it("walks again when the list is empty by its count but has records", function()
    rewalked("5 records came by page 1, totalRecords is 0", with(1, { items = 5 }, 0))
  end)

  it("walks again when fewer records came than were announced", function()
    rewalked("ended after 29 records, totalRecords is 30", with(3, { items = 9 }))
    rewalked("ended after 29 records, totalRecords is 30", with(2, { items = 9 }))
    rewalked("ended after 0 records, totalRecords is 7", with(1, { items = 0 }, 7))
  end)

  it("walks again when more records came than were announced", function()
    rewalked("26 records came by page 3, totalRecords is 25", with(3, { items = 6 }, 25))
  end)

  it("trusts hasMore alone when the totals are missing", function()
    local bare = { total_records = "absent", total_pages = "absent", next = "absent", size = "absent",
      current = "absent" }
    local step, _, items = walk(api.pager(10, 1), function(n) return page(n, 10, 95, bare) end, 1)
    assert.are.equal("done", step)
    assert.are.equal(95, items)
  end)

  it("finds the end by nextPage, or by totalPages, when hasMore is missing", function()
    for _, gone in ipairs{ { has_more = "absent" }, { has_more = "absent", next = "absent" },
      { has_more = "absent", total_pages = "absent", total_records = "absent" } } do
      local step, _, items, asked = walk(api.pager(10, 1), function(n) return page(n, 10, 95, gone) end, 1)
      assert.are.equal("done", step)
      assert.are.equal(95, items)
      assert.are.equal(10, asked)
    end
  end)

  it("fails when a page does not say in any way whether more follow", function()
    failed("none of hasMore, nextPage and totalPages", api.pager(10, 1):feed{ items = 10, total_records = 10 })
    failed("none of hasMore", api.pager(10, 1):feed{ items = 0 })
  end)

  it("ends a list whose pages trickle one record each, within 1.2 times its pages and 10", function()
    local step, err, _, asked = walk(api.pager(100, 1), function(n)
      return { current = n, size = 100, total_records = 1000, has_more = true, items = 1, hash = n }
    end, 1)
    failed("22 pages came and still more follow", step, err)
    assert.are.equal(22, asked)
  end)

  it("ends every list that says hasMore for ever", function()
    for name, g in pairs{
      same_page = function(n) return { current = n, has_more = true, items = 5, hash = 1 } end,
      empty = function(n) return { current = n, has_more = true, items = 0 } end,
      grows = function(n) return page(n, 10, 10 * n + 10) end,
      shrinks = function(n) return page(n, 10, 1000 - 10 * n) end,
      last_of_two = function(n) return page(math.min(n, 2), 10, 20, { current = n, hash = n, has_more = true,
        next = n + 1 }) end,
    } do
      local step, err, _, asked = walk(api.pager(10, 1), g, 1)
      assert.is_true(step == "fail" or step == "rewalk", name)
      assert.is_true(asked <= 3, name)
      assert.is_string(err.message)
    end
  end)

  it("counts pages from where it was told to", function()
    local step, _, items = walk(api.pager(10, 0), function(n) return page(n + 1, 10, 30, { current = n,
      next = n < 2 and n + 1 }) end, 0)
    assert.are.equal("done", step)
    assert.are.equal(30, items)
  end)

  it("resumes at any page and ends as if it had never stopped", function()
    for stop = 1, 9 do
      local p = api.pager{ page_size = 10, next_page = stop + 1, total_records = 95, total_pages = 10,
        items = stop * 10, pages = stop }
      local step, _, items = walk(p, honest(10, 95), stop + 1)
      assert.are.equal("done", step)
      assert.are.equal(95 - stop * 10, items)
    end
  end)

  it("takes the server's page size when the earlier run got no page", function()
    assert.are.equal("done", (walk(api.pager{ page_size = 1000, next_page = 1, pages = 0 }, honest(10, 30), 1)))
  end)

  it("after a resume compares with what the first page said in the earlier run", function()
    local function resumed(change) return api.pager{ page_size = 10, next_page = 2, total_records = change.total,
      total_pages = change.pages,
      items = change.items or 10, pages = 1 } end
    rewalked("totals changed", resumed{ total = 29, pages = 3 }:feed(page(2, 10, 30)))
    rewalked("pageSize changed from 10 to 15", resumed{ total = 30, pages = 3 }:feed(page(2, 15, 30)))
    rewalked("ended after 29", walk(resumed{ total = 30, pages = 3, items = 9 }, honest(10, 30), 2))
    assert.are.equal("done", (walk(resumed{}, honest(10, 30), 2))) -- totals unknown: those of the next page count
    rewalked("ended after 29", walk(resumed{ items = 9 }, honest(10, 30), 2))
  end)

  it("stays sound when figures are as large as can be", function()
    local max = math.maxinteger
    failed("totalPages", api.pager(10, 1):feed{ current = 1, size = 10, total_records = max, total_pages = max,
      has_more = true, items = 10 })
    assert.are.equal("next", (api.pager(10, 1):feed{ current = 1, size = 1, total_records = max, total_pages = max,
      has_more = true,
      items = 1 }))
    local p = api.pager{ page_size = max, next_page = 2, items = max, pages = 1 }
    rewalked("records came", p:feed{ current = 2, size = max, has_more = false, items = max })
  end)

  it("accepts a list that only grew, or only shrank, under its feet only when nothing is missing", function()
    for seed = 1, 1000 do
      math.randomseed(seed)
      local size, list, stable, next_id = math.random(1, 6), {}, {}, 0
      for i = 1, math.random(0, 40) do list[i], stable[i], next_id = i, true, i end
      local grows, calm, seen, got = math.random(2) == 1, math.random(), {}, {}
      local step = walk(api.pager(size, 1), function(n)
        if n > 1 and math.random() > calm then
          if grows then
            next_id = next_id + 1
            table.insert(list, math.random(1, #list + 1), next_id)
          elseif #list > 0 then
            stable[table.remove(list, math.random(1, #list))] = nil
          end
        end
        local hash = 17
        got = {}
        for i = (n - 1) * size + 1, math.min(n * size, #list) do
          got[#got + 1], hash = list[i], hash * 31 + list[i]
          seen[list[i]] = true
        end
        return page(n, size, #list, { items = #got, hash = hash })
      end, 1)
      if step == "done" then
        for id in pairs(stable) do assert.is_true(seen[id], ("seed %d lost record %d"):format(seed, id)) end
      end
    end
  end)
end)
