-- scratch.lua: directories, files and child processes of a test.
local scratch = {}

-- How many times longer than usual things may take here: under valgrind all do.
scratch.slowness = os.getenv("DEFENDIS_UNDER") and 40 or 1

-- A new directory, mode 0700.
function scratch.dir()
  local pipe <close> = assert(io.popen("mktemp -d"))
  return assert(pipe:read "l")
end

function scratch.remove(dir) os.execute("rm -rf '" .. dir .. "'") end

function scratch.read(path)
  local file <close> = assert(io.open(path, "rb"))
  return file:read "a"
end

function scratch.write(path, bytes, mode)
  local file <close> = assert(io.open(path, "wb"))
  assert(file:write(bytes))
  file:close()
  os.execute(("chmod %s '%s'"):format(mode or "600", path))
end

function scratch.mode(path)
  local pipe <close> = assert(io.popen("stat -c %a '" .. path .. "'"))
  return pipe:read "l"
end

-- Runs Lua source in a child with args as ...; `before` is put in front of the command. What it printed, its exit code
-- (137 after SIGKILL).
function scratch.lua(source, before, ...)
  local path = os.tmpname()
  scratch.write(path, source)
  local command = { before or "", "lua5.4", path }
  for _, a in ipairs{ ... } do command[#command + 1] = ("'%s'"):format(a) end
  local pipe = assert(io.popen(table.concat(command, " ") .. " 2>&1; code=$?; echo; echo $code"))
  local text = pipe:read "a"
  pipe:close()
  os.remove(path)
  local out, code = text:match "^(.-)\n?(%d+)\n$"
  return out, tonumber(code)
end

-- Number of open descriptors of this process. Asked without a child: it might look before its own pipe is closed here.
function scratch.descriptors()
  -- twice: an object that a finalizer kept goes with the second
  collectgarbage()
  collectgarbage()
  return #assert(require("defendis.core").stream.list("/proc/self/fd", ""))
end

-- Seconds, for upper bounds.
function scratch.uptime()
  local file <close> = assert(io.open "/proc/uptime")
  return file:read "n"
end

return scratch
