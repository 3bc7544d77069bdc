local run = require "support.run"

describe("make install", function()
  local root, sim
  local build = os.getenv("DEFENDIS_BUILD") or "build"

  setup(function()
    root = run.folder()
    sim = run.simulator("--records 100")
    assert(os.execute(("make -s install BUILD=%s DESTDIR=%s PREFIX=/usr >/dev/null"):format(build, root)))
  end)
  teardown(function()
    sim.stop()
    run.clean()
  end)

  -- Output of a command that must succeed; it sees nothing of the source tree.
  local function output(command)
    local p = io.popen(("cd / && env -u LUA_PATH -u LUA_CPATH DEFENDIS_BASE_URL=%s DEFENDIS_API_KEY=%s %s 2>&1")
      :format(sim.base_url, sim.api_key, command))
    local text = p:read("a")
    assert(p:close(), text)
    return text
  end

  it("puts the module where stock lua5.4 finds it", function()
    local script = [[local d = require "defendis"; local c <close> = d.client{}; print(d.version, c:health().status)]]
    local text = output(("env LUA_PATH='%s/usr/share/lua/5.4/?.lua;%s/usr/share/lua/5.4/?/init.lua' LUA_CPATH='%s/usr/lib/lua/5.4/?.so' "
      .. "lua5.4 -e '%s'"):format(root, root, root, script))
    assert.matches("^%d+%.%d+%.%d+\tok\n$", text)
  end)

  it("puts a program that needs nothing but itself", function()
    assert.matches("^API  ok\n", output(root .. "/usr/bin/defendis health"))
    assert.matches("^defendis %d+%.%d+%.%d+\n$", output(root .. "/usr/bin/defendis --version"))
  end)

  it("puts a header, a library and a pkg-config file with which the embedding example builds and runs", function()
    local pkg = ("PKG_CONFIG_PATH=%s/usr/lib/pkgconfig PKG_CONFIG_SYSROOT_DIR=%s pkg-config"):format(root, root)
    assert.equal(output(root .. "/usr/bin/defendis --version"), "defendis " .. output(pkg .. " --modversion defendis"))
    local here = io.popen("pwd"):read("l")
    local sanitize = build:find("asan") and "-fsanitize=address,undefined" or ""
    output(("cc -std=c11 -Wall -Wextra -Werror %s %s/examples/embed.c $(%s --cflags --libs defendis) -o %s/embed")
      :format(sanitize, here, pkg, root))
    local embed = run.under .. " " .. root .. "/embed"
    assert.equal('{"domain":"acme.example","leaked":70}\n{"domain":"globex.example","leaked":10}\n', output(embed))
    assert.matches("auth: .*%(401%).*\n3\n$", output(("sh -c 'DEFENDIS_API_KEY=wrong-1234567890 %s; echo $?'"):format(embed)))
    assert.matches("config: base URL: http would send the key .*\n2\n$",
      output(("sh -c '%s http://api.example; echo $?'"):format(embed)))
  end)
end)
