-- facts.lua: what is asked for most of a document, under one name, wherever a finding, a record of the vendor or an OCSF document has it.
local facts = {}

-- Name and where its value is; the first that is there. What is matched without regard to case is given in lower case.
local WHERE = {
  { "severity", "level", "severity", lower = true },
  { "title", "finding_info.title", "title", "message", "fileName" },
  { "email", "group.email", "email", "evidences.1.user.email_addr", "actor.user.email_addr", lower = true },
  { "user", "group.username", "username", "holder", "evidences.1.user.name", "actor.user.name" },
  { "domain", "group.domain", "domain", "unmapped.domain", lower = true },
  { "host", "infectedMachine.hostname", "evidences.1.device.hostname", "device.hostname" },
  { "ip", "infectedMachine.ip", "evidences.1.device.ip", "device.ip" },
  { "url", "url", "evidences.1.url.url_string" },
  { "file", "fileName", "evidences.1.file.name" },
  { "hash", "sha256", "evidences.1.file.hashes.1.value" },
  { "source", "source.name", "unmapped.source.name" },
  { "rule", "rule.id" },
  { "type", "type", "class_name" },
}
for _, w in ipairs(WHERE) do
  for i = 2, #w do
    local keys = {}
    for key in w[i]:gmatch "[^.]+" do keys[#keys + 1] = math.tointeger(tonumber(key)) or key end
    w[i] = keys
  end
end

local function at(doc, keys)
  for _, key in ipairs(keys) do
    if type(doc) ~= "table" then return nil end
    doc = doc[key]
  end
  if type(doc) == "string" and doc ~= "" or type(doc) == "number" then return tostring(doc) end
end

--- The facts of a document: name -> text; a name whose value is missing, null or no scalar is not there.
function facts.of(doc)
  local out = {}
  for _, w in ipairs(WHERE) do
    for i = 2, #w do
      local value = at(doc, w[i])
      if value then
        out[w[1]] = w.lower and value:lower() or value
        break
      end
    end
  end
  return out
end

return facts
