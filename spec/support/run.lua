-- run.lua: programs as a user starts them: the command, and the simulator beside it.
local scratch = require "support.scratch"

local run = {}

local BUILD = os.getenv("DEFENDIS_BUILD") or "build"
run.bin = os.getenv("DEFENDIS_BIN") or BUILD .. "/defendis"

--- What stands before a program that a spec has built: empty, or what it is to run under.
run.under = os.getenv("DEFENDIS_UNDER") or ""

--- A fresh folder of this test's own, removed by run.clean().
local folders = {}
function run.folder()
  local path = scratch.dir()
  folders[#folders + 1] = path
  return path
end

function run.clean()
  for _, path in ipairs(folders) do scratch.remove(path) end
  folders = {}
end

run.read = scratch.read

--- Returns the path.
function run.write(path, text)
  scratch.write(path, text)
  return path
end

function run.quote(word) return "'" .. tostring(word):gsub("'", "'\\''") .. "'" end

local function environment(env)
  -- nothing of the caller's settings reaches the program
  local words = { "env -u DEFENDIS_API_KEY -u DEFENDIS_API_KEY_FILE -u DEFENDIS_BASE_URL -u CREDENTIALS_DIRECTORY NO_COLOR=1" }
  for k, v in pairs(env or {}) do words[#words + 1] = k .. "=" .. run.quote(v) end
  return table.concat(words, " ")
end

--- Runs `defendis` with a line of arguments as a shell reads them. options: {env = table, input = text, prefix = words before the
-- program}. Returns {code, out, err}; code is 128 + n when signal n ended it.
function run.defendis(line, options)
  options = options or {}
  local dir = run.folder()
  local input = options.input and run.write(dir .. "/in", options.input) or "/dev/null"
  local _, how, code = os.execute(("%s %s %s %s <%s >%s/out 2>%s/err"):format(environment(options.env), options.prefix or "", run.bin,
    line, input, dir, dir))
  return { code = how == "signal" and 128 + code or code, out = run.read(dir .. "/out"), err = run.read(dir .. "/err") }
end

--- Starts `defendis simulate`. line: its options. Returns {base_url, api_key, env = what a client needs, stop = function}.
function run.simulator(line)
  local p = assert(io.popen(("echo $$; exec %s %s simulate %s </dev/null"):format(environment(), run.bin, line or "")))
  local pid = p:read("l")
  local first = assert(p:read("l"), "the simulator did not start")
  local said = assert(require("cjson").decode(first))
  local sim = { base_url = said.base_url, api_key = said.api_key, pid = pid,
    env = { DEFENDIS_BASE_URL = said.base_url, DEFENDIS_API_KEY = said.api_key } }
  function sim.stop()
    if sim.pid then os.execute("kill " .. sim.pid .. " 2>/dev/null") end
    sim.pid = nil
    p:close()
  end
  return sim
end

return run
