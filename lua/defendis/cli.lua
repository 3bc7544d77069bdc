-- cli.lua: the command line: finds the command, reads its options, turns its failure into a line and an exit code.
local cli = {}

-- Order of `defendis --help`. A command's module is loaded only when it is used or its help is asked for.
local COMMANDS = {
  { "health", "connectivity, then the key and what it may see" },
  { "call", "one raw request" },
  { "catalog", "the endpoints known" },
  { "fetch", "records of one dataset as JSON lines" },
  { "watchlist", "what is watched, by hand or as a file" },
  { "ingest", "run a pipeline incrementally" },
  { "run", "run a playbook in the sandbox" },
  { "import", "check rules of other formats, and take them over" },
  { "test", "the tests inside rule files" },
  { "help", "fields of rule and pipeline files, expressions, helpers, sinks" },
  { "lint", "what is wrong with rule files, or may be" },
  { "replay", "rules on recorded records, and what others would find" },
  { "explain", "why a finding is there, or why none is" },
  { "convert", "findings in the words of other systems" },
  { "validate", "documents against a target's rules" },
  { "state", "checkpoints of a store" },
  { "ledger", "proof of completeness" },
  { "simulate", "the built-in API" },
}

local EXIT = { config = 2, store = 2, script = 1, limit = 5, incomplete = 6, auth = 3, scope = 3, billing = 3, quota = 3,
  not_found = 3, invalid = 3, rate_limit = 4, unavailable = 4, network = 4, timeout = 4, decode = 4 }

--- The exit code for an error table (or a plain message: 1). A request that was never sent was not refused by the API.
function cli.exit_code(err)
  if type(err) ~= "table" then return 1 end
  if err.kind == "invalid" and not err.status then return 2 end
  return EXIT[err.kind] or 1
end

local function build(wanted)
  local argparse = require "argparse"
  local parser = argparse("defendis", "Pulls leak intelligence out of the Defendis API without losing a record, and runs rules on it.")
  parser:epilog("Exit codes: 0 done, 1 script or rule failed, 2 usage or configuration, 3 refused by the API, 4 not reachable, "
    .. "5 budget exceeded, 6 incomplete.")
  parser:command_target "command"
  parser:flag("--version", "Print the version."):action(function()
    print("defendis " .. require("defendis.core").version)
    os.exit(0, true)
  end)
  for _, c in ipairs(COMMANDS) do
    local command = parser:command(c[1], c[2])
    if c[1] == wanted then
      command:flag("-v --verbose", "Log requests as JSON lines on stderr."):count "0-2":target "verbose"
      command:flag("--json", "JSON instead of text.")
      require("defendis.cli." .. c[1]).options(command)
    end
  end
  return parser
end

-- Wrong words: what is wrong, and where help is. A caller of `run` reads stdout, and gets a document there too.
local function usage(words, message)
  local known = {}
  for i, c in ipairs(COMMANDS) do known[i] = c[1] end
  local command = words[1]:match("^%l+$")
  local is_known = command and table.concat(known, " "):find("%f[%w]" .. command .. "%f[%W]")
  if command and not is_known then
    message = require("defendis.check").unknown(command, known, "command")
  end
  message = ("%s; see defendis %s--help"):format(message:gsub("\n", "; "), is_known and command .. " " or "")
  if command == "run" then require("defendis.cli.ui").document{ error = { kind = "config", message = message } } end
  io.stderr:write("defendis: ", message, "\n")
  return 2
end

--- Called by the program with the words behind its name. Returns the exit code.
function cli.main(...)
  local words = { ... }
  local parser = build(words[1])
  if #words == 0 then
    io.stderr:write(parser:get_help(), "\n")
    return 2
  end
  local ok, args = parser:pparse(words)
  if not ok then return usage(words, args) end
  require("defendis.core").sys.log_level(args.verbose or 0)
  local code, err = require("defendis.cli.common").settle(args)
  if code then code, err = require("defendis.cli.tape").around(require("defendis.cli." .. args.command).run, args) end
  if code then return code end
  io.stderr:write("defendis: ", require("defendis.cli.ui").error_line(err), "\n")
  return cli.exit_code(err)
end

return cli
