local playbook = require "support.playbook"
local run = require "support.run"
local scratch = require "support.scratch"

-- What a budget ends, by itself or (watched) through the watchdog: kind "limit", exit code 5, and the message begins with these words.
local function over(what, text, options, watched)
  local code, err = playbook.failure(text, options)
  assert.same({ 5, "limit" }, { code, err.kind })
  assert.matches("^the script is over its budget of " .. what, err.message)
  if watched ~= "or not" then assert.equal(watched or false, err.message:find("a call that does not return", 1, true) ~= nil) end
  return err.message
end

local SHORT = { flags = "--timeout 200ms", prefix = "timeout 20" } -- a budget that does not work ends the test all the same
local FEW = { flags = "--instructions 200000" }
local SMALL = { flags = "--memory 4M" }

describe("a budget", function()
  after_each(run.clean)

  it("of time ends a busy loop and names the line and the option that raises it", function()
    assert.equal("the script is over its budget of time (0.2 s) at " .. "script.lua:2; raise it with --timeout",
      (over("time", "\nwhile true do end", SHORT):gsub("at /.*/", "at ")))
  end)

  it("of instructions ends a busy loop", function()
    assert.equal("the script is over its budget of instructions (200000) at script.lua:1; raise it with --instructions",
      (over("instructions", "while true do end", FEW):gsub("at /.*/", "at ")))
  end)

  it("of memory ends what grows: strings, tables, buffers", function()
    assert.equal("the script is over its budget of memory (4096 KiB)", over("memory", "return ('x'):rep(1 << 30)", SMALL):match("^[^;]*%)"))
    over("memory", "local t = {} for i = 1, 1e9 do t[i] = {} end", SMALL)
    over("memory", [[local b = require("defendis").json.buffer() while true do b:add(("x"):rep(10000)) end]], SMALL)
    over("memory", [[local b, t = require("defendis").json.buffer(), ("x"):rep(10000) while true do b:encode(t) end]], SMALL)
  end)

  it("of memory counts what is in use, not what was thrown away", function()
    assert.equal("done", playbook.value([[
      local json, text = require("defendis").json, ("x"):rep(1000000)
      for round = 1, 20 do
        for i = 1, 9 do json.buffer():add(text) end
        text = ("y"):rep(1000000) .. round
        local more = ("z"):rep(2500000)
      end
      return "done"]], { flags = "--memory 12M" }))
  end)

  it("stays spent: neither pcall nor a coroutine goes on after it", function()
    over("instructions", "while true do pcall(function() while true do end end) end", FEW)
    over("instructions", "while true do coroutine.resume(coroutine.create(function() while true do end end)) end", FEW)
    over("instructions", "pcall(function() while true do end end) return 'done'", FEW)
    over("memory", "pcall(function() local t = {} for i = 1, 1e9 do t[i] = i end end) return 'done'", SMALL)
    over("memory", "while true do pcall(function() local t = {} for i = 1, 1e9 do t[i] = i end end) end", SMALL)
  end)

  it("counts what runs inside library functions that call back", function()
    over("instructions", "table.sort({ 3, 2, 1 }, function() while true do end end)", FEW)
    over("instructions", "(('x'):rep(10)):gsub('.', function() while true do end end)", FEW)
    over("instructions", "return setmetatable({}, { __index = function() while true do end end }).x", FEW)
    over("instructions", "return tostring(setmetatable({}, { __tostring = function() while true do end end }))", FEW)
    over("instructions", "for _ in pairs(setmetatable({}, { __pairs = function() while true do end end })) do end", FEW)
    over("instructions", "do local x <close> = setmetatable({}, { __close = function() while true do end end }) end", FEW)
    over("instructions", "for _ in function() while true do end end do end", FEW)
  end)

  it("is not escaped by many coroutines that each run too short to be counted", function()
    over("instructions", [[
      local function f(depth)
        if depth == 0 then return end
        for i = 1, 50 do coroutine.wrap(f)(depth - 1) end
      end
      while true do f(5) end]], { flags = "--instructions 20000000" })
  end)

  it("of time ends a call of C that does not return, half a second later", function()
    local before = scratch.uptime()
    local message = over("time", "return (('a'):rep(300)):find('.-.-.-.-.-.-b$')", SHORT, true)
    assert.matches("in a call that does not return; raise it with %-%-timeout$", message)
    assert.is_true(scratch.uptime() - before < 3 * scratch.slowness)
  end)

  it("of time ends a handler that runs while an error goes up", function()
    over("time", [[
      local stuck = setmetatable({}, { __close = function() while true do end end })
      coroutine.wrap(function() local x <close> = stuck while true do end end)()]], SHORT, true)
  end)

  it("of time ends pcall within pcall, which Lua takes long to leave", function()
    over("time", "local function f() return pcall(f) and f() or f() end f()", SHORT, "or not")
  end)

  it("of time ends waiting: for a timer, in a coroutine, in parallel, for a slow API", function()
    assert.matches("while waiting for an answer", over("time", "require('defendis').sleep(60)", SHORT))
    over("time", "coroutine.wrap(function() require('defendis').sleep(60) end)()", SHORT)
    over("time", "local d = require 'defendis' d.parallel{ function() d.sleep(60) end, function() d.sleep(60) end }", SHORT)
    over("time", "while true do pcall(require('defendis').sleep, 60) end", SHORT)
    local sim = run.simulator("--records 100 --latency 60s")
    finally(sim.stop)
    over("time", "return require('defendis').client{ timeout = 100 }:health()", { flags = "--timeout 200ms", env = sim.env })
  end)

  it("too small for the Lua state itself is said as such", function()
    over("memory", "return 1", { flags = "--memory 20K" })
  end)
end)

describe("defendis run", function()
  after_each(run.clean)

  it("ends at once when it is told to", function()
    local path = run.write(run.folder() .. "/loop.lua", "while true do end")
    local before = scratch.uptime()
    local r = run.defendis("run " .. path, { prefix = "timeout -s TERM 0.3" })
    assert.is_true(scratch.uptime() - before < 1.3 * scratch.slowness)
    assert.equal(124, r.code)
  end)
end)
