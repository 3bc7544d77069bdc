local hostile = require "support.hostile"
local run = require "support.run"
local scratch = require "support.scratch"
local core = require "defendis.core"
local task = require "defendis.task"

local parallel = task.parallel

-- Functions that each ask the client for a path of their own.
local function asking(client, n)
  local functions = {}
  for i = 1, n do
    functions[i] = function()
      local value, err = client:get("/api/v1/" .. i)
      if not value then error(err) end
      return value.target
    end
  end
  return functions
end

describe("parallel", function()
  after_each(function()
    hostile.clean()
    run.clean()
  end)

  it("returns the results in the order of the functions, whoever ends first", function()
    local ended = {}
    local function sleeper(i, seconds)
      return function()
        task.sleep(seconds)
        ended[#ended + 1] = i
        return i, nil, "third"
      end
    end
    local results = parallel{ sleeper(1, 0.06), sleeper(2, 0), sleeper(3, 0.03) }
    assert.are.same({ 2, 3, 1 }, ended)
    for i = 1, 3 do assert.are.same({ i, nil, "third", ok = true }, results[i]) end
    assert.are.equal(3, #results)
  end)

  it("gives each of 64 calls at once its own answer", function()
    local server = hostile.serve{ echo = true, spread_ms = 40 }
    local client = hostile.client(server, { in_flight = 64 })
    for _ = 1, 2 do
      for i, r in ipairs(parallel(asking(client, 64), { concurrency = 64 })) do
        assert.are.same({ "/api/v1/" .. i, ok = true }, r)
      end
    end
    assert.are.equal(128, (server:count()))
  end)

  it("runs as many functions at a time as it is told, and 8 otherwise", function()
    for _, case in ipairs{ { 1, 1, 5 }, { 3, 3, 60 }, { nil, 8, 250 } } do
      local server = hostile.serve{ echo = true, delay_ms = case[3] }
      local client = hostile.client(server, { in_flight = 64 })
      parallel(asking(client, 12), { concurrency = case[1] })
      local requests, _, peak = server:count()
      assert.are.equal(12, requests)
      assert.are.equal(case[2], peak)
    end
  end)

  it("takes about as long as the slowest one, not as all of them", function()
    local server = hostile.serve{ echo = true, delay_ms = 150 }
    local client = hostile.client(server, { in_flight = 16 })
    local from = core.sys.mono_ms()
    parallel(asking(client, 16), { concurrency = 16 })
    assert.is_true(core.sys.mono_ms() - from < 16 * 150 // 2)
  end)

  it("keeps the failure of one function to that function", function()
    local server = hostile.serve{ echo = true }
    local client = hostile.client(server)
    local object = { kind = "mine" }
    local results = parallel{
      function() error(object) end,
      function() return client:get("/a").target end,
      function() error "text" end,
      function() return nil, "not an error" end,
      function() client:get("/b") error(object) end,
      function() local x = nil; return x.y end,
      function() return client:get("/c").target end,
      function() error() end,
    }
    assert.are.same({ object, ok = false }, results[1])
    assert.are.same({ "/a", ok = true }, results[2])
    assert.matches("text$", results[3][1])
    assert.are.same({ nil, "not an error", ok = true }, results[4])
    assert.are.equal(object, results[5][1])
    assert.is_false(results[6].ok)
    assert.are.same({ "/c", ok = true }, results[7])
    assert.are.same({ ok = false }, results[8])
  end)

  it("runs within itself, three deep", function()
    local server = hostile.serve{ echo = true, spread_ms = 5 }
    local client = hostile.client(server, { in_flight = 64 })
    local function nest(depth, name)
      if depth == 0 then return function() return client:get("/" .. name).target end end
      return function()
        local inner = {}
        for i = 1, 3 do inner[i] = nest(depth - 1, name .. i) end
        local names = {}
        for i, r in ipairs(parallel(inner, { concurrency = 2 })) do names[i] = r[1] end
        return table.concat(names)
      end
    end
    local results = parallel{ nest(2, "a"), nest(2, "b"), function() return #parallel{} end }
    local function expected(name)
      local out = {}
      for i = 1, 3 do for j = 1, 3 do out[#out + 1] = ("/%s%d%d"):format(name, i, j) end end
      return table.concat(out)
    end
    assert.are.same({ { expected "a", ok = true }, { expected "b", ok = true }, { 0, ok = true } }, results)
  end)

  it("works in a script's own coroutines, and they in it, with what they yield left alone", function()
    local server = hostile.serve{ echo = true }
    local client = hostile.client(server)
    local function pages()
      return coroutine.wrap(function()
        for i = 1, 3 do coroutine.yield(client:get("/" .. i).target) end
        coroutine.yield(#parallel{ function() return client:get "/x" end, function() return client:get "/y" end })
      end)
    end
    local function collect()
      local all = {}
      for x in pages() do all[#all + 1] = x end
      return table.concat(all, " ")
    end
    assert.are.equal("/1 /2 /3 2", collect())
    assert.are.same({ { "/1 /2 /3 2", ok = true }, { "/1 /2 /3 2", ok = true } }, parallel{ collect, collect })
  end)

  it("works behind a C function, where nothing can yield", function()
    local server = hostile.serve{ echo = true }
    local client = hostile.client(server)
    local function fill()
      return (("a b"):gsub("%a", function(c)
        local r = parallel{ function() return client:get("/p" .. c).target end }
        return client:get("/" .. c).target .. r[1][1]
      end))
    end
    assert.are.equal("/a/pa /b/pb", fill())
    assert.are.same({ { "/a/pa /b/pb", ok = true }, { "/a/pa /b/pb", ok = true } }, parallel{ fill, fill })
  end)

  it("fails a function that yields by itself, and goes on with the others", function()
    local results = parallel{
      function() coroutine.yield "mine" end,
      function() coroutine.yield() end,
      function() task.sleep(0.01) return "fine" end,
      function() coroutine.yield(1) end,
    }
    for _, i in ipairs{ 1, 2, 4 } do
      assert.is_false(results[i].ok)
      assert.matches("must not yield by itself", results[i][1])
    end
    assert.are.same({ "fine", ok = true }, results[3])
  end)

  it("returns an empty list for an empty list", function()
    assert.are.same({}, parallel{})
    assert.are.same({}, parallel({}, { concurrency = 1 }))
  end)

  it("does not mind what happens to the list it was given", function()
    local list = {}
    for i = 1, 4 do
      list[i] = function()
        for k = 1, 4 do list[k] = nil end
        task.sleep(0)
        return i
      end
    end
    local results = parallel(list, { concurrency = 1 })
    for i = 1, 4 do assert.are.same({ i, ok = true }, results[i]) end
  end)

  it("raises for wrong arguments, in the caller's name, before anything runs", function()
    local ran = false
    local function f() ran = true end
    for expected, call in pairs{
      ["an array of functions expected, got a nil"] = function() parallel() end,
      ["an array of functions expected, got a function"] = function() parallel(f) end,
      ["element 2 is a number, not a function"] = function() parallel{ f, 5 } end,
      ["element 2 is a nil, not a function"] = function() parallel{ f, nil, f } end,
      ['"concurrency": a whole number from 1 expected, got 0'] = function() parallel({ f }, { concurrency = 0 }) end,
      ['"concurrency": a whole number from 1 expected, got 1.5'] = function() parallel({ f }, { concurrency = 1.5 }) end,
      ['unknown key "concurency", nearest key "concurrency"'] = function() parallel({ f }, { concurency = 2 }) end,
      ["a table expected, got a number"] = function() parallel({ f }, 8) end,
    } do
      local ok, message = pcall(call)
      assert.is_false(ok)
      assert.is_truthy(message:find(expected, 1, true), message)
      assert.matches("^spec/task_spec.lua:%d+: parallel: ", message)
    end
    assert.is_false(ran)
  end)

  it("leaves no open descriptor behind once its client is closed", function()
    local server = hostile.serve{ echo = true, spread_ms = 5 }
    local function use()
      local client = hostile.client(server, { in_flight = 64 })
      parallel(asking(client, 20), { concurrency = 20 })
      client:close()
    end
    use() -- the first one starts libcurl
    local before = scratch.descriptors()
    for _ = 1, 3 do use() end
    assert.are.equal(before, scratch.descriptors())
  end)

  it("tells the functions that wait when the client is closed under them", function()
    local server = hostile.serve{ bytes = "" }
    local client = hostile.client(server)
    local results = parallel{
      function() return client:get "/never" end,
      function() return client:get "/never" end,
      function()
        task.sleep(0.02)
        client:close()
        return "closed"
      end,
      function() task.sleep(0.04) return pcall(client.get, client, "/late") end,
    }
    for i = 1, 2 do
      assert.is_true(results[i].ok)
      assert.is_nil(results[i][1])
      assert.are.equal("config", results[i][2].kind)
      assert.matches("the client was closed while", results[i][2].message)
    end
    assert.are.same({ "closed", ok = true }, results[3])
    assert.is_false(results[4][1])
    assert.matches("the client is closed", results[4][2])
  end)

  it("does the same in the host, where calls yield, as in stock Lua, where they block", function()
    local server = hostile.serve{ echo = true, spread_ms = 10 }
    local script = run.write(run.folder() .. "/x.lua", [[
      local defendis = require "defendis"
      local client <close> = defendis.client{ in_flight = 16 }
      local functions = {}
      for i = 1, 12 do
        functions[i] = function()
          local inner = defendis.parallel{ function() return client:get("/in" .. i).target end, function() error{ kind = "x" } end }
          defendis.sleep(0.001)
          return client:get("/out" .. i).target, inner[1][1], inner[2].ok, inner[2][1].kind
        end
      end
      functions[13] = function() coroutine.yield(1) end
      local out = {}
      for i, r in ipairs(defendis.parallel(functions, { concurrency = 5 })) do
        local words = { tostring(r.ok) }
        for k, v in ipairs(r) do words[k + 1] = tostring(v) end
        out[i] = table.concat(words, " ")
      end
      return table.concat(out, "\n")
    ]])
    local env = { DEFENDIS_BASE_URL = "http://127.0.0.1:" .. server:port(), DEFENDIS_API_KEY = hostile.KEY }
    local said = run.defendis("run " .. script, { env = env })
    assert.are.equal(0, said.code, said.err)
    local lines = {}
    for line in core.json.decode(said.out):gmatch "[^\n]+" do lines[#lines + 1] = line end
    for i = 1, 12 do assert.are.equal(("true /out%d /in%d false x"):format(i, i), lines[i]) end
    assert.matches("^false a function that parallel runs must not yield", lines[13])
    local words = ""
    for k, v in pairs(env) do words = words .. k .. "='" .. v .. "' " end
    local out, code = scratch.lua("io.write(dofile '" .. script .. "')", "env " .. words)
    assert.are.equal(0, code, out)
    assert.are.equal(table.concat(lines, "\n"), out)
  end)
end)
