-- A flipped bit that led an index to another finding is not seen by SQLite's quick check, and the report of a run fell over it.
local run = require "support.run"
local scratch = require "support.scratch"
local store = require "defendis.store"

local TIME <const> = 1767225600000

describe("the report of a state", function()
  after_each(run.clean)

  it("says what to do when a finding that is counted cannot be found", function()
    local path = run.folder() .. "/state.db"
    local s = assert(store.open(path))
    assert(s:begin())
    for i, id in ipairs{ "i", "j", "k" } do assert(s:add_finding(id, i == 2 and "q" or "r", TIME, "high", "{}")) end
    assert(s:commit())
    s:close()
    local entry = string.pack(">i6", TIME) .. "j" -- of the index by time; then comes the number of the row
    local bytes, n = run.read(path):gsub(entry .. "\2", entry .. "\3")
    assert.equal(1, n)
    run.write(path, bytes)
    local out = scratch.lua([[
      local _, err = pcall(require("defendis.cli.report").show, { store = ... }, {})
      print(err)]], nil, path)
    assert.truthy(out:find("\nstate damaged: a finding cannot be read; restore a backup or run `defendis state reset --all`", 1, true), out)
  end)
end)
