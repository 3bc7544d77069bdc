-- enrich.lua: a playbook: what is leaked of an e-mail address or a domain? JSON in, JSON out:
--   echo '{"email": "anna.keller@acme.example"}' | defendis run enrich.lua
local defendis = require "defendis"

local function questions(input)
  if type(input) ~= "table" or not (input.email or input.domain) then
    error{ kind = "config", message = 'the input must be {"email": ...} or {"domain": ...}' }
  end
  local domain = { domain = input.domain or input.email:match("@(.+)$") }
  return {
    input.email and { name = "credentials", path = "/api/v1/dataleaks/credentials/email", query = { email = input.email } }
      or { name = "credentials", path = "/api/v1/dataleaks/credentials", query = domain },
    { name = "documents", path = "/api/v1/dataleaks/documents", query = domain },
    { name = "exposure", path = "/api/v1/exposure", query = domain },
    { name = "ransomware", path = "/api/v1/ransomware", query = domain },
  }
end

return function(input)
  local client <close> = defendis.client{ timeout = 20 }
  local list, calls = questions(input), {}
  for i, question in ipairs(list) do
    question.query.pageSize = 1 -- the totals are what counts
    calls[i] = function() return client:get(question.path, question.query) end
  end
  local answer = { subject = input.email or input.domain, leaked = false, records = {}, unknown = {} }
  for i, result in ipairs(defendis.parallel(calls)) do -- all of them at once
    local name, body, err = list[i].name, result[1], result[2]
    if not body then
      answer.unknown[name] = tostring(err) -- not knowing is not the same as nothing leaked
    else
      answer.records[name] = body.paging.totalRecords
      answer.leaked = answer.leaked or body.paging.totalRecords > 0
    end
  end
  if not answer.leaked and next(answer.unknown) then answer.leaked = defendis.json.null end
  return answer
end
