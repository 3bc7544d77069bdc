-- readme_spec.lua: every example of the README and of the guide, run in order in a folder of its own that looks like the repository.
--
-- A comment on the line before a block says what it is:
--   <!-- file: NAME -->     the block is that file, of the repository or of the reader's; a later `run` block uses it
--   <!-- part of: NAME -->  the block stands so in that file of the repository
--   <!-- run -->            sh: runs, with a simulator's environment; exit code 0, or N with `run: exit N`
--   <!-- output -->         text: what that printed; `...` stands for anything, alone on a line for any lines
--   <!-- not run: WHY -->   sh: only its `make` targets are looked at: they must exist
local run = require "support.run"

local HERE = io.popen("pwd"):read("l")
local function absolute(path) return path:sub(1, 1) == "/" and path or HERE .. "/" .. path end
local BUILD = absolute(os.getenv("DEFENDIS_BUILD") or "build")

-- All blocks: {line, language, how = the comment's text, text}.
local function blocks_of(path)
  local out, block, n, before = {}, nil, 0, ""
  for line in io.lines(path) do
    n = n + 1
    if block and line == "```" then
      block.text = table.concat(block, "\n") .. "\n"
      out[#out + 1], block = block, nil
    elseif block then
      block[#block + 1] = line
    elseif line:find("^```") then
      block = { line = n, language = line:sub(4), how = before:match("^<!%-%- (.*) %-%->$") or "" }
    end
    before = line
  end
  return out
end

-- Does `text` hold what `shown` says, line by line from its beginning? Returns true, or the first line that is not there.
local function holds(text, shown)
  local lines, at, gap = {}, 1, false
  for line in text:gmatch("([^\n]*)\n") do lines[#lines + 1] = line end
  for line in shown:gmatch("([^\n]*)\n") do
    if line == "..." then
      gap = true
    else
      local pattern = "^" .. line:gsub("%p", "%%%0"):gsub("%%%.%%%.%%%.", ".*") .. "$"
      while gap and lines[at] and not lines[at]:find(pattern) do at = at + 1 end
      if not lines[at] or not lines[at]:find(pattern) then return nil, line end
      at, gap = at + 1, false
    end
  end
  return gap or at > #lines or nil, "(the end)"
end

local function make_targets()
  local known = {}
  for line in io.lines("Makefile") do
    local name = line:match("^([%l]+):")
    if name then known[name] = true end
  end
  return known
end

-- The repository as a reader has it before him, but nothing of it is written to.
local function checkout(root)
  os.execute(([[cd '%s' && mkdir -p build rules bin && cp -r '%s/examples' . && ln -s '%s/lua' lua && ln -s '%s/include' include &&
    ln -s '%s' '%s/libdefendis.a' '%s/lua' build/]]):format(root, HERE, HERE, HERE, absolute(run.bin), BUILD, BUILD))
  -- an instrumented library needs its runtime
  if (os.getenv("LD_PRELOAD") or ""):find("asan") then
    run.write(root .. "/bin/cc", '#!/bin/sh\nLD_PRELOAD= exec gcc -fsanitize=address,undefined "$@"\n')
    os.execute(("chmod +x '%s/bin/cc'"):format(root))
  end
end

for document, name in pairs{ ["README.md"] = "the README", ["examples/guide/README.md"] = "the guide" } do
  describe(name, function()
    local root, simulator, printed
    setup(function()
      root = run.folder()
      checkout(root)
      simulator = run.simulator("--records 2000")
    end)
    teardown(function()
      simulator.stop()
      run.clean()
    end)

    local function shell(text)
      local env = { PATH = root .. "/bin:" .. os.getenv("PATH"), LUA_PATH = "lua/?.lua;lua/?/init.lua;;", LUA_CPATH = "build/lua/?.so;;" }
      for k, v in pairs(simulator.env) do env[k] = v end
      local words = { "env -u DEFENDIS_API_KEY_FILE -u CREDENTIALS_DIRECTORY NO_COLOR=1 LC_ALL=C.UTF-8" }
      for k, v in pairs(env) do words[#words + 1] = k .. "=" .. run.quote(v) end
      local script = run.write(root .. "/block.sh", text)
      local _, how, code = os.execute(("cd '%s' && %s sh -e %s >out.txt 2>&1 </dev/null"):format(root, table.concat(words, " "), script))
      return how == "signal" and 128 + code or code, run.read(root .. "/out.txt")
    end

    local files, used, targets = {}, {}, make_targets()
    for _, b in ipairs(blocks_of(document)) do
      local at = ("at line %d "):format(b.line)
      local file = b.how:match("^file: (%S+)$")
      if file and b.language ~= "sh" then
        files[#files + 1] = { name = file, line = b.line }
        it(at .. "has the file " .. file, function()
          local ours = io.open(file)
          if ours then
            assert.equal(ours:read("a"), b.text)
            ours:close()
          end
          assert(run.write(root .. "/" .. file, b.text))
        end)
      elseif b.how:find("^part of: ") then
        it(at .. "shows a part of a file", function()
          assert(run.read(b.how:match("^part of: (%S+)$")):find(b.text, 1, true), "it does not stand there so")
        end)
      elseif b.how:find("^run") and b.language == "sh" then
        used[#used + 1] = b.text
        it(at .. "runs " .. b.text:match("^[^\n]*"), function()
          local code
          code, printed = shell(b.text)
          assert(code == tonumber(b.how:match("exit (%d+)$") or 0), ("exit code %d\n%s"):format(code, printed))
        end)
      elseif b.how == "output" and b.language == "text" then
        it(at .. "shows what was printed", function()
          local ok, line = holds(printed, b.text)
          assert(ok, ("not printed: %s\n%s"):format(line, printed))
        end)
      elseif b.how:find("^not run: ") then
        it(at .. "names targets of make that exist", function()
          for target in b.text:gmatch("%f[^\n%z]make (%l+)") do assert(targets[target], "make " .. target) end
        end)
      else
        it(at .. "says how its example is run", function() error("no comment before this block, or one that does not fit it", 0) end)
      end
    end

    it("runs every file that it shows", function()
      local all = table.concat(used)
      for _, f in ipairs(files) do
        local folder = f.name:match("^(.*)/")
        assert(all:find(f.name, 1, true) or folder and all:find("%f[%w]" .. folder:gsub("%p", "%%%0") .. "%f[^%w/]"), f.name)
      end
    end)
  end)
end
