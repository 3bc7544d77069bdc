-- common.lua: options and steps that several commands share.
local check = require "defendis.check"

local common = {}

--- For option:convert: an integer of at least `least`. name: the option, for the message.
function common.integer(name, least)
  return function(text)
    local n = math.tointeger(text)
    if n and n >= least then return n end
    return nil, ('%s "%s" is not a whole number of at least %d'):format(name, text, least)
  end
end

local function not_empty(name)
  return function(text) return text ~= "" and text or nil, name .. " is empty" end
end

local CERTIFICATES = { { "--ca-file", "PEM: who signs for the API, instead of the system's authorities; default $DEFENDIS_CA_FILE." },
  { "--cert-file", "PEM: this client's certificate; default $DEFENDIS_CERT_FILE." },
  { "--key-file", "PEM: the key of that certificate; default $DEFENDIS_KEY_FILE." } }

--- Makes these options settings of the whole process, so that scripts have them too. Returns true, or nil, err.
function common.settle(args)
  local core = require "defendis.core"
  if args.api_key_command and args.api_key_file then
    return nil, check.error("config", "--api-key-file and --api-key-command are both given; leave one out")
  end
  if args.api_key_command then core.sys.setenv("DEFENDIS_API_KEY_FILE", "") end
  for _, name in ipairs{ "api_key_command", "ca_file", "cert_file", "key_file" } do
    if args[name] then core.sys.setenv("DEFENDIS_" .. name:upper(), args[name]) end
  end
  if args.api_key_file == "-" then return core.secret.take_stdin() end
  return true
end

--- Adds the options that say which API and key to use.
function common.client_options(command)
  command:option("--base-url", "The API; default $DEFENDIS_BASE_URL, else https://api.defendis.ai.")
    :argname "URL":convert(not_empty "--base-url")
  command:option("--api-key-file", "File of mode 0600 that holds the API key, - for stdin's first line; default $DEFENDIS_API_KEY_FILE.")
    :argname "FILE":convert(not_empty "--api-key-file")
  command:option("--api-key-command", "Program that prints the key, with its arguments; default $DEFENDIS_API_KEY_COMMAND.")
    :argname "COMMAND":convert(not_empty "--api-key-command")
  for _, o in ipairs(CERTIFICATES) do command:option(o[1], o[2]):argname "FILE":convert(not_empty(o[1])) end
end

--- A client as the options say, or nil, err.
function common.client(args, more)
  local options = { base_url = args.base_url, api_key_file = args.api_key_file }
  for k, v in pairs(more or {}) do options[k] = v end
  return require("defendis.client").open(options)
end

--- Reads {"k=v", ...} into a table, or nil, err.
function common.pairs(words)
  local out = {}
  for _, word in ipairs(words or {}) do
    local k, v = word:match("^([^=]+)=(.*)$")
    if not k then return nil, check.error("config", ('"%s" is not of the form name=value'):format(word)) end
    out[k] = v
  end
  return out
end

--- The text of a file ("-": stdin), or nil, err.
function common.read_file(path)
  if path == "-" then return io.read("a") end
  local f, problem = io.open(path, "rb")
  if not f then return nil, check.error("config", "cannot read " .. problem) end
  local text, fault = f:read("a")
  f:close()
  if not text then return nil, check.error("config", "cannot read " .. path .. ": " .. tostring(fault)) end
  return text
end

--- Adds the option that chooses the state of a backfill.
function common.backfill_option(command)
  command:option("--backfill", "The state of this backfill, not the live one."):argname "NAME"
end

--- The path of a state file: given itself, or by the pipeline file that names it. backfill: name of one, or nil. Or nil, err.
function common.store_path(path, backfill)
  if path:find("%.lua$") then
    local plan, err = require("defendis.pipeline.file").load(path, true)
    if not plan then return nil, err end
    path = plan.store
  end
  if not backfill then return path end
  return require("defendis.pipeline.backfill").store(path, backfill)
end

--- What the pipeline file says of sensitive fields; {} for a state file. Or nil, err.
function common.sensitive_options(path)
  if not path:find("%.lua$") then return {} end
  local plan, err = require("defendis.pipeline.file").load(path, true)
  if not plan then return nil, err end
  return plan.sensitive
end

--- Opens a state file for reading, or nil, err. It must be there.
function common.store(path, backfill)
  local file, err = common.store_path(path, backfill)
  if not file then return nil, err end
  return require("defendis.store").open(file, { readonly = true })
end

--- Opens a state file that must be there, so that nobody else does meanwhile, or nil, err.
function common.exclusive_store(path, backfill)
  local file, err = common.store_path(path, backfill)
  if not file then return nil, err end
  local f = io.open(file, "rb")
  if not f then return nil, check.error("store", ("no state file %s; run an ingest first"):format(file)) end
  f:close()
  return require("defendis.store").open(file, { exclusive = true })
end

return common
