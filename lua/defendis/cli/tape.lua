-- tape.lua: the options --trace, --record and --replay of commands that talk to the API.
local core = require "defendis.core"
local check = require "defendis.check"
local secrets = require "defendis.helpers.secrets"

local tape = {}

--- Adds the options.
function tape.options(command)
  command:option("--trace", "Append a line of JSON for each attempt to this file, without secrets."):argname "FILE"
  command:flag("--trace-bodies", "With --trace: headers and bodies too.")
  command:option("--record", "Record what the API answers into this folder, which is empty or not there."):argname "DIR"
  command:option("--replay", "Take the answers from a folder that was recorded; nothing is sent to the API."):argname "DIR"
    :target "tape" -- args.replay says that the command is replay
end

--- Hides more names, such as those of a pipeline's `sensitive`. Returns true, or nil, err.
function tape.hide(sensitive)
  return core.tape.hide{ names = sensitive.fields, cards = sensitive.cards, bare = sensitive.bare }
end

local function begin(args)
  if args.trace_bodies and not args.trace then return nil, check.error("config", "--trace-bodies goes with --trace only") end
  if args.record and args.tape then return nil, check.error("config", "--record and --replay exclude each other") end
  local names = {}
  for _, list in ipairs{ secrets.LOGIN, secrets.TRACK } do table.move(list, 1, #list, #names + 1, names) end
  local ok, err = core.tape.hide{ names = names, cards = secrets.CARD, bare = secrets.CODE, parts = secrets.PARTS, whole = secrets.WHOLE }
  if ok and args.record then ok, err = core.tape.record(args.record) end
  if ok and args.tape then ok, err = core.tape.play(args.tape) end
  if ok and args.trace then ok, err = core.tape.trace(args.trace, args.trace_bodies) end
  return ok, err
end

--- Runs a command with what its options say. run: the command's; args: its options. Returns what it returns; nil, err when trace or tape
-- are not whole.
function tape.around(run, args)
  if not (args.trace or args.trace_bodies or args.record or args.tape) then return run(args) end
  local ok, fault = begin(args)
  if not ok then return nil, fault end
  local code, err = run(args)
  local calls, hidden = core.tape.close()
  if not calls then
    if not code then return code, err end
    return nil, hidden
  end
  if args.record then
    io.stderr:write(("defendis: recorded %d calls in %s; %d values in them were replaced\n"):format(calls, args.record, hidden))
  elseif args.tape then
    io.stderr:write(("defendis: replayed %d calls from %s; nothing was sent\n"):format(calls, args.tape))
  end
  return code, err
end

return tape
