-- docs.lua: nothing public without documentation, and no README that speaks of what is not there.
-- usage: docs.lua [ROOT]   Prints one line per fault, `file:line: what`; exits 1 on any.
local root = arg[1] or "."
local program = arg[2] or (os.getenv("DEFENDIS_BUILD") or "build") .. "/defendis"
local faults = 0

local function fault(path, line, what, ...)
  faults = faults + 1
  print(("%s:%d: %s"):format(path, line, what:format(...)))
end

local function lines_of(path)
  local out, f = {}, io.open(root .. "/" .. path)
  if not f then return out end
  for line in f:lines() do out[#out + 1] = line end
  f:close()
  return out
end

local function output(command)
  local p = io.popen(command .. " 2>/dev/null")
  local text = p:read("a")
  p:close()
  return text
end

-- Files under a folder whose names end so, in order.
local function files(folder, ending)
  local out = {}
  for path in output(("cd '%s' && find %s -name '*%s' | LC_ALL=C sort"):format(root, folder, ending)):gmatch("[^\n]+") do
    out[#out + 1] = path
  end
  return out
end

-- Goes through a file's definitions. A comment documents what follows it, and the definitions that follow that one without a blank
-- line. comment(line, inside) -> is this line part of one, are we still inside; definition(line) -> its name, or nil.
local function each_definition(path, comment, definition)
  local documented, inside = false, false
  for n, line in ipairs(lines_of(path)) do
    local is_comment
    is_comment, inside = comment(line, inside)
    local name = not is_comment and definition(line)
    if is_comment then
      documented = true
    elseif name then
      if not documented and not line:find("/%*.*%*/%s*$") then fault(path, n, "%s has no comment before it", name) end
    elseif line == "" or line:find("^[%a#}]") and line ~= "end" then
      documented = false
    end
  end
end

local function c_comment(line, inside)
  if inside then return true, not line:find("*/", 1, true) end
  local starts = line:find("^/%*") ~= nil
  return starts, starts and not line:find("*/", 3, true)
end

local function lua_comment(line) return line:find("^%s*%-%-") ~= nil, false end

local function c_declaration(line)
  if line:find("^typedef") or line:find("^static") then return nil end
  return line:match("^[%a_][%w_ *]-([%w_]+)%(")
end

local function c_for_lua(line) return line:match("^static int (l_[%w_]+)%(lua_State") end

local function lua_function(line) return line:match("^%s*function ([%w_]+[.:][%w_]+)%(") end

for _, path in ipairs(files("include src", ".h")) do each_definition(path, c_comment, c_declaration) end
for _, path in ipairs(files("src/bind src/job", ".c")) do each_definition(path, c_comment, c_for_lua) end
for _, name in ipairs{ "init", "client", "task", "rules/init", "ruletest", "ledger", "store", "catalog", "check", "time",
  "endpoint", "secret", "connection", "kinds", "posting", "rotation", "producing",
  "helpers/init", "helpers/csv", "helpers/domain", "helpers/email", "helpers/ip", "helpers/lookup", "helpers/reference", "helpers/shapes",
  "pipeline/file", "pipeline/init", "watchlist/init", "watchlist/apply", "watchlist/plan", "watchlist/current",
  "watchlist/desired", "watchlist/values" } do
  each_definition("lua/defendis/" .. name .. ".lua", lua_comment, lua_function)
end

-- The help of a command and of all its actions.
local function help_of(words)
  local help = output(("'%s' %s --help"):format(program, words))
  for action in (help:match("\nCommands:\n(.*)") or ""):gmatch("\n?%s+(%l+)%s[^\n]*") do help = help .. help_of(words .. " " .. action) end
  return help
end

-- The commands by name: {option = true}, its actions' options among them.
local function commands()
  local out = {}
  for _, line in ipairs(lines_of("lua/defendis/cli.lua")) do
    local name = line:match('^  { "(%l+)", ".*" },$')
    if name then
      out[name] = {}
      for option in help_of(name):gmatch("%-%-[%l%-]+") do out[name][option] = true end
    end
  end
  return out
end

-- Options named in the part about a command are options of it. A part is headed `### defendis NAME`.
local function check_commands(path, text)
  local known, described, current = commands(), {}, nil
  for n, line in ipairs(text) do
    local heading = line:match("^#+ (.*)")
    if heading then
      current = heading:match("^`?defendis (%l+)")
      described[current or ""] = true
      if current and not known[current] then fault(path, n, "there is no command %s", current) end
    end
    for option in (current and known[current] and line or ""):gmatch("%f[%-]%-%-%l[%l%-]*") do
      if not known[current][option] then fault(path, n, "defendis %s has no option %s", current, option) end
    end
  end
  for name in pairs(known) do
    if not described[name] then fault(path, 1, "no part `### defendis %s`", name) end
  end
end

local function check_examples(path, text)
  local start, block
  for n, line in ipairs(text) do
    if start and line == "```" then
      local ok, problem = load(table.concat(block, "\n"), "=(example)", "t")
      if not ok then fault(path, start, "the example does not compile: %s", problem) end
      start = nil
    elseif start then
      block[#block + 1] = line
    elseif line == "```lua" then
      start, block = n, {}
    end
  end
end

-- The reference in the tree is the one that the program prints.
local function check_reference(path, ours)
  local theirs, f = "", io.open(root .. "/" .. path)
  if f then
    theirs = f:read("a")
    f:close()
  end
  if theirs ~= ours then fault(path, 1, "is not what defendis help --markdown prints; write it anew") end
end

local readme = lines_of("README.md")
check_commands("README.md", readme)
if commands().help then check_reference("lua/defendis/rules/REFERENCE.md", output(("'%s' help --markdown"):format(program))) end
check_examples("README.md", readme)
os.exit(faults == 0)
