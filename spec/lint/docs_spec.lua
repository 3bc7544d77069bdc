-- docs_spec.lua: the documentation check finds what is not documented and what is documented and not there.
local run = require "support.run"

local HERE = io.popen("pwd"):read("l")

local function docs(files)
  local root = run.folder()
  os.execute(("cd '%s' && mkdir -p include src/bind src/job lua/defendis/rules"):format(root))
  for path, text in pairs(files) do run.write(root .. "/" .. path, text) end
  local p = io.popen(("lua5.4 '%s/spec/lint/docs.lua' '%s' '%s/%s' 2>&1"):format(HERE, root, HERE, run.bin))
  local text = p:read("a")
  return text, select(3, p:close())
end

local CLI = '  { "fetch", "records" },\n  { "state", "checkpoints" },\n'
local README = "### defendis fetch\n`--limit N`\n### defendis state\n`reset --yes`\n```lua\nreturn 1\n```\n"

describe("the documentation check", function()
  after_each(run.clean)

  it("says nothing of what is documented", function()
    local text, code = docs{ ["lua/defendis/cli.lua"] = CLI, ["README.md"] = README,
      ["include/a.h"] = "/* Makes\n   one. */\nint df_make(void);\nint df_unmake(int a,\n  int b);\n\n"
        .. "typedef int (*df_f)(void);\nint df_size(void); /* bytes */\n",
      ["src/bind/a.c"] = "/* x() */\nstatic int l_x(lua_State *L) {\n}\n\nstatic int helper(lua_State *L) {\n}\n",
      ["lua/defendis/client.lua"] = "--- One.\nfunction client.one() end\nfunction client.two()\nend\n"
        .. "function client:three() end\nlocal function four() end\n" }
    assert.are.equal("", text)
    assert.are.equal(0, code)
  end)

  for what, case in pairs{
    ["a C function"] = { "include/a.h", "/* A type. */\ntypedef int df_a;\nint df_make(void);\n", 3, "df_make has no comment" },
    ["a C function in a folder"] = { "src/bind/b.h", "/* One. */\nint df_one(void);\n\nint df_two(void);\n", 4, "df_two has no comment" },
    ["a function that Lua sees"] = { "src/bind/a.c", "}\nstatic int l_x(lua_State *L) {\n", 2, "l_x has no comment" },
    ["a Lua function"] = { "lua/defendis/time.lua", "-- time\nlocal time = {}\nfunction time.now() end\n", 3, "time.now has no comment" },
    ["a Lua method"] = { "lua/defendis/store.lua", "\nfunction Store:open()\n", 2, "Store:open has no comment" },
    ["an option that is not there"] = { "README.md", README .. "### defendis state\n`--yess`\n", 9, "defendis state has no option --yess" },
    ["a command that is not there"] = { "README.md", README .. "### defendis repl\n", 8, "there is no command repl" },
    ["a command without a part"] = { "README.md", "### defendis fetch\n", 1, "no part `### defendis state`" },
    ["a reference that is old"] = { "lua/defendis/rules/REFERENCE.md", "# Reference\n", 1, "is not what defendis help --markdown prints",
      { ["lua/defendis/cli.lua"] = CLI .. '  { "help", "fields" },\n', ["README.md"] = README .. "### defendis help\n" } },
    ["an example that does not compile"] = { "README.md", README .. "```lua\nreturn return\n```\n", 8, "does not compile" },
  } do
    it("finds " .. what, function()
      local files = { ["lua/defendis/cli.lua"] = CLI, ["README.md"] = README }
      for name, text in pairs(case[5] or {}) do files[name] = text end
      files[case[1]] = case[2]
      local text, code = docs(files)
      assert.are.equal(1, code)
      assert.are.equal(("%s:%d: "):format(case[1], case[3]), text:match("^[^ ]* "))
      assert.matches(case[4], text, 1, true)
      assert.is_nil(text:find("\n.")) -- and nothing else
    end)
  end
end)
