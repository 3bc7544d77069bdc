-- rotation_spec.lua: files of jsonl that follow one another.
local core = require "defendis.core"
local jsonl = require "defendis.sinks.jsonl"
local pipelined = require "support.pipelined"
local rotation = require "defendis.rotation"
local run = require "support.run"
local scratch = require "support.scratch"

local DAY <const> = 86400000

describe("jsonl with rotation", function()
  local dir, sinks, now

  before_each(function()
    dir, sinks, now = scratch.dir(), {}, rotation.now
  end)
  after_each(function()
    rotation.now = now
    for _, sink in ipairs(sinks) do sink:close() end
    scratch.remove(dir)
    run.clean()
  end)

  -- A sink as a run has it: its state is committed once before anything is written.
  local function open(state, rotate, compress)
    local sink = assert(jsonl.new({ path = "out", rotate = rotate or "1KiB", compress = compress }, { folder = dir .. "/" }))
    sinks[#sinks + 1] = sink
    assert(sink:open(state, { "d", "findings" }))
    return sink, assert(sink:prepare())
  end

  local function write(sink, text, kind)
    local buffer = core.json.buffer()
    buffer:add(text)
    assert.is_true(sink:write(kind or "d", buffer))
  end

  local function page(sink, text, kind)
    write(sink, text, kind)
    return assert(sink:prepare())
  end

  local function files() return table.concat(core.stream.list(dir .. "/out", ""), " ") end
  local function read(name) return scratch.read(dir .. "/out/" .. name) end

  local LINE <const> = ("x"):rep(1023) .. "\n"

  it("begins the next file when one has reached its size, at the end of a page", function()
    local sink = open()
    assert.equal("d.000001.jsonl findings.000001.jsonl", files())
    page(sink, "a\n")
    page(sink, LINE .. LINE)
    page(sink, "b\n")
    local state = page(sink, "f\n", "findings")
    assert.equal("d.000001.jsonl d.000002.jsonl findings.000001.jsonl", files())
    assert.same({ "a\n" .. LINE .. LINE, "b\n" }, { read "d.000001.jsonl", read "d.000002.jsonl" })
    sink:close()
    page(open(state), "c\n")
    assert.equal("b\nc\n", read "d.000002.jsonl")
  end)

  it("takes back what was written and not committed, also in a file that had just begun", function()
    local sink, state = open()
    write(sink, LINE)
    assert(sink:prepare()) -- a crash between this and the commit
    assert.equal("d.000001.jsonl d.000002.jsonl findings.000001.jsonl", files())
    sink:close()
    sink = open(state)
    assert.equal("", read "d.000001.jsonl")
    state = page(sink, LINE)
    write(sink, "lost")
    sink:close()
    page(open(state), "b\n")
    assert.same({ LINE, "b\n" }, { read "d.000001.jsonl", read "d.000002.jsonl" })
  end)

  it("begins a file each day, at the first page of the day or the next run, and none when the clock goes back", function()
    local today = 20484 * DAY
    rotation.now = function() return today end
    local sink = open(nil, "1d")
    page(sink, "a\n")
    today = today + DAY
    page(sink, "b\n")
    local state = page(sink, "c\n")
    sink:close()
    assert.equal("d-2026-01-31.jsonl d-2026-02-01.jsonl findings-2026-01-31.jsonl", files())
    today = today - 2 * DAY
    sink = open(state, "1d")
    state = page(sink, "d\n")
    sink:close()
    today = today + 7 * DAY
    page(open(state, "1d"), "e\n")
    assert.same({ "a\nb\n", "c\nd\n", "e\n" }, { read "d-2026-01-31.jsonl", read "d-2026-02-01.jsonl", read "d-2026-02-06.jsonl" })
  end)

  it("goes on with another name when the option changes, and behind files that a lost state left", function()
    local sink = open()
    local state = page(sink, "a\n")
    sink:close()
    sink = assert(jsonl.new({ path = "out" }, { folder = dir .. "/" }))
    sinks[#sinks + 1] = sink
    assert(sink:open(state, { "d", "findings" }))
    state = page(sink, "b\n")
    sink:close()
    assert.equal("b\n", read "d.jsonl")
    sink = open(state)
    page(sink, "c\nhalf")
    sink:close()
    assert.equal("a\nc\nhalf", read "d.000001.jsonl")
    page(open(), "d\n")
    assert.equal("a\nc\nhalf\nd\n", read "d.000001.jsonl")
  end)

  it("says what a limit looks like", function()
    for _, bad in ipairs{ "2d", "100", "0MiB", "MiB", "1.5GiB", "100mb", 7 } do assert.is_string(rotation.check(bad)) end
    for _, good in ipairs{ "1d", "1KiB", "100MiB", "99999GiB" } do assert.is_nil(rotation.check(good)) end
    local sink, err = jsonl.new({ path = "out", compress = "zstd" }, { folder = "" })
    assert.is_nil(sink)
    assert.truthy(err.message:find('compress needs rotate = "1d" or a size', 1, true))
  end)

  local function unpacked(name)
    local pipe <close> = io.popen(("zstd -dcq '%s/out/%s'"):format(dir, name))
    return pipe:read "a"
  end

  it("compresses a file when the one behind it was committed, and not before", function()
    if not rotation.can_compress() then return pending "zstd is not installed" end
    local sink = open(nil, "1KiB", "zstd")
    local state = page(sink, LINE)
    sink:close()
    assert.equal("d.000001.jsonl d.000002.jsonl findings.000001.jsonl", files())
    scratch.write(dir .. "/out/d.000001.jsonl.zst.1.tmp", "a crash left it")
    scratch.write(dir .. "/out/d.000000.jsonl.txt", "somebody's")
    sink = open(state, "1KiB", "zstd")
    page(sink, "b\n")
    sink:close()
    assert.equal("d.000000.jsonl.txt d.000001.jsonl.zst d.000002.jsonl findings.000001.jsonl", files())
    assert.equal(LINE, unpacked "d.000001.jsonl.zst")
    assert.equal("600", scratch.mode(dir .. "/out/d.000001.jsonl.zst"))
    sink = open(nil, "1KiB", "zstd") -- a lost state goes on behind what is packed
    page(sink, "c\n")
    assert.equal("b\nc\n", read "d.000002.jsonl")
  end)

  it("packs again what a crash left in both forms, and leaves a file that cannot be packed", function()
    if not rotation.can_compress() then return pending "zstd is not installed" end
    local sink = open(nil, "1KiB", "zstd")
    local state = page(sink, LINE)
    sink:close()
    scratch.write(dir .. "/out/d.000001.jsonl.zst", "half of it")
    sink = open(state, "1KiB", "zstd")
    state = page(sink, LINE)
    sink:close()
    assert.equal(LINE, unpacked "d.000001.jsonl.zst")
    os.execute(("mkdir '%s/out/d.000002.jsonl.zst'"):format(dir))
    sink = open(state, "1KiB", "zstd")
    page(sink, "x\n")
    sink:close()
    assert.equal(LINE, read "d.000002.jsonl")
  end)

  it("loses and doubles no line when the program is killed at any moment", function()
    local sim = run.simulator "--records 600"
    finally(sim.stop)
    local pipe <close> = io.popen "cd examples/rules && pwd"
    local rules = pipe:read "l"
    local zstd = rotation.can_compress() and ', compress = "zstd"' or ""
    local function pipeline()
      return pipelined.new(sim, { ["until"] = '"2026-04-01"', window = '"10d"', page_size = "10", rules = ('{ "%s/" }'):format(rules),
        sinks = '{ jsonl{ path = "out", rotate = "8KiB"' .. zstd .. ' }, jsonl{ path = "whole" } }' })
    end
    local began = scratch.uptime()
    local got = pipeline():ingest()
    assert.equal(0, got.code, got.err)
    local duration, p = scratch.uptime() - began, pipeline()
    local seed = os.time()
    math.randomseed(seed)
    for try = 1, 16 do
      local prefix = ([[sh -c '"$@" & pid=$!; sleep %.3f; kill -9 $pid 2>/dev/null; wait $pid' sh]]):format(math.random() * duration * 0.5)
      local code = p:ingest{ prefix = try < 16 and prefix or nil }.code
      assert.is_true(code == 137 or code == 0, "seed " .. seed)
    end
    assert.equal(0, (p:verify()))
    for _, kind in ipairs{ "dataleaks.credentials", "findings" } do
      local whole = p:lines(kind, "whole")
      assert.is_true(#whole > 0)
      -- a file that is there in both forms was being packed
      local all <close> = io.popen(([[cd '%s/out' && for f in %s.??????.jsonl*; do case $f in
        *.zst) [ -e "${f%%.zst}" ] || zstd -dcq "$f" ;;
        *.jsonl) cat "$f" ;; esac; done]]):format(p.folder, kind))
      local lines = {}
      for line in all:lines() do lines[#lines + 1] = line end
      assert.is_true(table.concat(whole, "\n") == table.concat(lines, "\n"), "seed " .. seed)
    end
    assert.is_true(#core.stream.list(p.folder .. "/out", "") > 10)
  end)
end)
