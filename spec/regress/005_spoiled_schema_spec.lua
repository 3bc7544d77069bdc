-- A bit flipped in the text of the state's schema went unnoticed until a statement missed a column; that was no message with a remedy,
-- and the remedy did not help.
local run = require "support.run"
local store = require "defendis.store"

describe("a state whose schema is spoiled", function()
  after_each(run.clean)

  for what, flip in pairs{ ["the name of a column"] = { "kinds TEXT NOT NULL, seq", "kinds TEXT NOT NULL, seu" },
    ["the name of a table"] = { "CREATE TABLE outbox", "CREATE TABLE outboy" },
    ["a default"] = { "NOT NULL DEFAULT 0", "NOT NULL DEFAULT 1" }, ["a check"] = { "'open', 'walked'", "'open', 'walkee'" } } do
    it(("in %s is refused with the remedy, also when it is only looked at, and the remedy helps"):format(what), function()
      local path = run.folder() .. "/state.db"
      assert(store.open(path)):close()
      local bytes = run.read(path)
      local from, to = bytes:find(flip[1], 1, true)
      run.write(path, bytes:sub(1, from - 1) .. flip[2] .. bytes:sub(to + 1))
      for _, options in ipairs{ { exclusive = true }, { readonly = true } } do
        local s, err = store.open(path, options)
        assert.is_nil(s)
        assert.equal("state damaged: " .. path .. ": ", err.message:sub(1, #path + 17))
        assert.truthy(err.message:find("; restore a backup or run `defendis state reset --all`", 1, true), err.message)
      end
      assert.equal(0, run.defendis(("state reset %s --all --yes"):format(path)).code)
      assert(store.open(path)):close()
    end)
  end
end)
