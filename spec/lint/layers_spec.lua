-- layers_spec.lua: the layer check finds each kind of violation, and nothing in a tree without any.
-- Without LD_PRELOAD: programs that set their locale twice, awk among them, hang under a preloaded libasan.
local run = require "support.run"

local SCRIPT = io.popen("pwd"):read("l") .. "/spec/lint/layers.sh"

local function tree(files)
  local root = run.folder()
  os.execute(([[cd '%s' && mkdir -p include lua/defendis/cli lua/defendis/helpers lua/defendis/rules lua/defendis/normalize spec examples &&
    mkdir -p src/base src/api src/io src/job src/bind src/host src/cli]]):format(root))
  for path, text in pairs(files) do run.write(root .. "/" .. path, text) end
  return root
end

local function lint(root)
  local p = io.popen(("LD_PRELOAD= sh '%s' '%s' 2>&1"):format(SCRIPT, root))
  local text = p:read("a")
  return text, select(3, p:close())
end

-- path -> text, and what is said about which line of it
local PLANTED = {
  { "src/base/a.c", '#include "io/http.h"\n', 1, "src/base includes what is not to its left" },
  { "src/api/b.c", "\n#include <sqlite3.h>\n", 2, "SQLite is used in src/io/store.c only" },
  { "src/api/c.c", '#include "bind/bind.h"\n', 1, "src/api includes what is not to its left" },
  { "src/api/d.c", "/* now */\nlong f(void) { return time(0); }\n", 2, "src/api reads no clock" },
  { "src/api/e.c", "void f(void) { usleep (3); }\n", 1, "does not sleep" },
  { "src/io/f.c", "#include <curl/curl.h>\n", 1, "libcurl is reached through src/io/curl.h only" },
  { "src/io/g.c", "#include <microhttpd.h>\n", 1, "libmicrohttpd is used in src/io/httpd.c only" },
  { "src/io/h.c", "#include <sha1.h>\n", 1, "libmd is used in src/io/hash.c only" },
  { "src/io/i1.c", "#include <pcre2.h>\n", 1, "PCRE2 is used in src/io/regex.c only" },
  { "src/io/i2.c", "#include <libpsl.h>\n", 1, "libpsl is used in src/io/psl.c only" },
  { "src/io/i3.c", "#include <idn2.h>\n", 1, "libidn2 is used in src/io/idn.c only" },
  { "src/io/i.c", "#include <lua.h>\n", 1, "Lua is used in src/job and src/bind only" },
  { "src/io/j.c", "#include <openssl/ssl.h>\n", 1, "a header that no folder may use" },
  { "src/host/k.c", "#include <lauxlib.h>\n", 1, "Lua is used in src/job and src/bind only" },
  { "src/cli/l.c", '#include "host/host.h"\n', 1, "src/cli includes defendis.h and libc only" },
  { "src/job/m.c", "int f(char *s) { return /* x */ atoi(s); }\n", 1, "a banned function" },
  { "src/job/n.c", "int f(char *s) {\n  return system(s);\n}\n", 2, "a banned function" },
  { "src/job/o.c", "int x;\nint f(void) {\n" .. ("  g();\n"):rep(58) .. "}\n", 2, "the function has 60 lines, over 59" },
  { "src/job/p.c", ("\n"):rep(500), 500, "the file has 500 lines, over 499" },
  { "src/io/q.c", "\n/* " .. ("x"):rep(135) .. " */\n", 2, "the line has 141 bytes, over 140" },
  { "lua/defendis/rules/a.lua", 'local c = require "defendis.core"\n', 1, "run without the core" },
  { "lua/defendis/helpers/a.lua", 'local c = require("defendis.rules.fault")\n', 1, "helpers require check, time and each other only" },
  { "lua/defendis/normalize/b.lua", "local c = require('defendis.rules.set')\n", 1, "normalize does not use the rules" },
  { "lua/defendis/time.lua", '\nreturn require "defendis.catalog"\n', 2, "this layer requires check time only" },
  { "lua/defendis/client.lua", 'return require("defendis.pipeline.file")\n', 1, "this layer requires core" },
  { "lua/defendis/ruletest.lua", 'return require "defendis.cli.ui"\n', 1, "only the command line may require the command line" },
  { "lua/defendis/misc.lua", "return {}\n", 1, "a module that has no place in the layers" },
  { "lua/defendis/catalog.lua", ("\n"):rep(300), 300, "the file has 300 lines, over 299" },
  { "lua/defendis/store.lua", "return function()\n" .. ("  f()\n"):rep(58) .. "end\n", 1, "the function has 60 lines, over 59" },
  { "Makefile", ("\n"):rep(151), 151, "the file has 151 lines, over 150" },
  { "src/cli/main.c", ("\n"):rep(150), 150, "the file has 150 lines, over 149" },
  { "examples/pull.lua", ("\n"):rep(40), 40, "the file has 40 lines, over 39" },
  { "src/io/README.md", ("\n"):rep(31), 31, "the file has 31 lines, over 30" },
  { "notes.txt", "", 1, "does not belong on the top level" },
}

describe("the layer check", function()
  after_each(run.clean)

  it("names file, line and fault of every kind of violation", function()
    local files = {}
    for _, p in ipairs(PLANTED) do files[p[1]] = p[2] end
    local text, code = lint(tree(files))
    assert.are.equal(1, code)
    for _, p in ipairs(PLANTED) do
      local said
      for line in text:gmatch("[^\n]+") do
        if line:find(("%s:%d: "):format(p[1], p[3]), 1, true) == 1 and line:find(p[4], 1, true) then said = line end
      end
      assert(said, ("nothing said of %s:%d: %s\n%s"):format(p[1], p[3], p[4], text))
    end
  end)

  it("says nothing of what is allowed, in code or in comments", function()
    local text, code = lint(tree{
      ["src/io/curl.h"] = '#include <curl/curl.h>\n#include <string.h>\n#include "base/error.h"\n#include "defendis.h"\n',
      ["src/api/pager.c"] = "/* the time (in\n   ms) of system(x) */\nint f(void) { return 1; }\n#include \"api/pager.h\"\n",
      ["src/job/job.c"] = "#include <lua.h>\nint f(void) {\n" .. ("  g();\n"):rep(57) .. "}\n",
      ["src/bind/core.c"] = '#include <lauxlib.h>\n#include "job/job.h"\nint n = my_atoi(1), m = snprintf(b, 1, "");\n',
      ["src/io/long.c"] = "/* " .. ("x"):rep(134) .. " */\n",
      ["src/cli/main.c"] = '#include <stdio.h>\n#include "defendis.h"\n',
      ["lua/defendis/rules/init.lua"] = 'return require "defendis.normalize.fields", require "defendis.check"\n',
      ["lua/defendis/cli/run.lua"] = 'return require "defendis.core", require("defendis.pipeline.file")\n',
      ["lua/defendis/init.lua"] = '-- `require "defendis"`\nreturn require "defendis.client"\n',
      ["spec/long_spec.lua"] = "describe('x', function()\n" .. ("  it('y', f)\n"):rep(80) .. "end)\n",
    })
    assert.are.equal("", text)
    assert.are.equal(0, code)
  end)
end)
