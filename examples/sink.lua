-- A sink of one's own: each document as a file in a folder, from which another program takes them. In a pipeline file:
--   sinks = { sink "sink.lua" { path = "spool" } }
local check = require "defendis.check"
local core = require "defendis.core"

-- The document's id is the file's name, so a document that comes again after a crash replaces itself.
local function put(folder, document)
  local draft = folder .. "/." .. document.id
  os.remove(draft)
  local file <close>, err = core.stream.open(draft)
  if not file then return nil, err end
  local ok
  ok, err = file:write(document.json)
  if ok then ok, err = file:sync() end
  if not ok then return nil, err end
  return os.rename(draft, ("%s/%s.%s.json"):format(folder, document.kind, document.id))
end

return {
  OPTIONS = { path = check.required(check.text) },
  GUARANTEE = "at least once; a document that comes again replaces itself",
  new = function(options, context)
    local folder = options.path:sub(1, 1) == "/" and options.path or context.folder .. options.path
    local made, problem = core.stream.mkdir(folder)
    if not made then return nil, problem end
    return {
      name = "spool:" .. options.path, -- state and ledger know the sink by it
      batch = { documents = 100 },
      wants = function(kind) return kind ~= "dataleaks.paymentcards" end,
      send = function(_, batch)
        local results = {}
        for i, document in ipairs(batch) do
          local ok, err = put(folder, document)
          results[i] = ok and true or { again = tostring(err) } -- a full disk: later; nothing here is refused for good
        end
        return results
      end,
      close = function() end,
    }
  end,
}
