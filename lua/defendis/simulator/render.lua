-- render.lua: records as JSON text, one template per dataset. Not one field is documented by the vendor: this is a
-- plausible record, with the odd values that real feeds have.
local random = require "defendis.simulator.random"
local vocabulary = require "defendis.simulator.vocabulary"

local mix = random.mix
local FIRST, LAST = vocabulary.first, vocabulary.last
local SEVERITY = { "low", "medium", "medium", "high", "high", "critical", "high", "medium" }

local render = {}

--- The part before the @ of person p; data.by_email reads it back.
function render.local_part(p)
  local number = p // (#FIRST * #LAST)
  return FIRST[p % #FIRST + 1] .. "." .. LAST[p // #FIRST % #LAST + 1] .. (number > 0 and number or "")
end

-- e-mail, user name and passwords of a person; few people make most records, so a small table saves most of the work
local function people(domain)
  return setmetatable({}, { __mode = "v", __index = function(t, p)
    local name, h = render.local_part(p), mix(p + 1)
    local word = vocabulary.passwords[(h >> 8 & 15) + 1]
    local person = { email = name .. "@" .. domain, name = name, host = ("DESKTOP-%06X"):format(h >> 40 & 0xffffff),
      upper = name:gsub("^%l", string.upper) .. "@" .. domain, first = FIRST[p % #FIRST + 1],
      passwords = { word .. "2024!", word .. (h >> 16 & 1023) .. "?", word:lower() .. "_" .. (h >> 24 & 255) } }
    t[p] = person
    return person
  end })
end

local function services(domain)
  local list = {}
  for i, service in ipairs(vocabulary.services) do
    list[i] = '","url":"' .. service[2]:format(domain) .. '","source":{"name":"' .. service[1] .. '","type":"'
  end
  return list
end

local function machine(person, b, odd)
  local user = odd == 5 and vocabulary.scripts[(b >> 20) % #vocabulary.scripts + 1] or '"' .. person.first .. '"'
  return ',"infectedMachine":{"hostname":"' .. person.host .. '","ip":"203.0.113.' .. (b >> 24 & 255) .. '","os":"' ..
    vocabulary.os[(b >> 32 & 3) + 1] .. '","user":' .. user .. ',"path":"C:\\\\Users\\\\' .. person.first ..
    '\\\\AppData\\\\Local\\\\' .. vocabulary.browsers[(b >> 34 & 3) + 1] ..
    '\\\\User Data\\\\Default\\\\Login Data"}'
end

local function log_id(b, odd)
  return odd == 4 and vocabulary.integers[(b >> 20) % #vocabulary.integers + 1] or tostring(1000000000 + (b >> 33))
end

local EXTRA = {
  [1] = ',"details":{"exported":null,"attributes":{},"history":[]}',
  [2] = ',"details":{}',
  [3] = ',"details":{"score":0.1,"ratio":-1.5e-7,"matrix":[[],[1,null,"x"],{}]}',
}
local DETAILS = ',"details":{"country":"%s","language":"%s","antivirus":["Windows Defender"],"build":"%s"}'
local details = {}
for i, country in ipairs(vocabulary.countries) do
  details[i] = DETAILS:format(country, country:lower() .. "-" .. country, "v" .. i .. ".4." .. 2 * i)
end

render["dataleaks.credentials"] = function(domain)
  local persons, service_list = people(domain), services(domain)
  local malware, tags, common = vocabulary.malware, vocabulary.tags, vocabulary.common
  return function(id, time, a, b, i, person_of)
    local p, burst = person_of(i)
    local person, odd = persons[p], b >> 50 & 63
    local service = burst and (mix(i // 8) >> 1) % 32 + i % 8 or (a >> 1) % #service_list
    local kind = burst and 0 or (a >> 8) % 20
    local password = a >> 16 & 7
    password = password == 7 and common[(a >> 20 & 7) + 1] or person.passwords[password % 3 + 1]
    local source
    if kind < 12 then
      source = 'stealer","malware":"' .. malware[(mix(p) >> 3 & 7) + 1] .. '"}' .. machine(person, b, odd)
    else
      source = (kind < 17 and "combolist" or "breach") .. '","malware":null},"infectedMachine":null'
    end
    local user = odd == 0 and vocabulary.scripts[(b >> 20) % #vocabulary.scripts + 1] or '"' .. person.name .. '"'
    return '{"id":"' .. id .. '","email":"' .. (odd < 60 and person.email or person.upper) .. '","username":' .. user ..
      ',"password":"' .. password .. '","domain":"' .. domain .. service_list[service + 1] .. source ..
      ',"leakedAt":"' .. time .. '","severity":"' .. (burst and "critical" or SEVERITY[(a >> 28 & 7) + 1]) ..
      '","tags":' .. tags[(b >> 40 & 7) + 1] .. ',"cookies":' .. (b >> 44 & 511) .. ',"logId":' .. log_id(b, odd) ..
      (EXTRA[odd] or details[(b >> 3 & 0xffff) % #details + 1]) .. "}"
  end
end

local DOCUMENT = '{"id":"%s","domain":"%s","fileName":"%s-%d.%s","fileType":"%s","sizeBytes":%d,' ..
  '"sha256":"%016x%016x%016x%016x","url":"https://files.%s/shared/%s","leakedAt":"%s","severity":"%s",' ..
  '"source":{"name":"open share","type":"exposed"},"keywords":%s,"author":%s}'

render["dataleaks.documents"] = function(domain)
  return function(id, time, a, b)
    local name = vocabulary.documents[(a >> 1) % #vocabulary.documents + 1]
    local extension = vocabulary.extensions[(a >> 8 & 0xff) % #vocabulary.extensions + 1]
    local author = b & 15 == 0 and vocabulary.scripts[(b >> 20) % #vocabulary.scripts + 1] or "null"
    return DOCUMENT:format(id, domain, name, a >> 16 & 0xfff, extension, extension, a >> 40, a, b, ~a, ~b, domain, name,
      time, SEVERITY[(a >> 28 & 7) + 1], a & 7 == 0 and "[]" or '["' .. name .. '"]', author)
  end
end

-- The check digit makes the number pass what scanners test for (ISO/IEC 7812, annex B).
local function card_number(bin, bits)
  local digits = bin .. ("%015d"):format((bits >> 1) % 1000000000000000):sub(#bin + 1)
  local sum = 0
  for k = 15, 1, -1 do
    local d = digits:byte(k) - 48
    if k % 2 == 1 then d = d * 2 > 9 and d * 2 - 9 or d * 2 end
    sum = sum + d
  end
  return digits .. (10 - sum % 10) % 10
end

local CARD = '{"id":"%s","bin":"%s","cardNumber":"%s","expiry":"%02d/%02d","cvv":"%03d","holder":"%s","bank":"%s",' ..
  '"country":"%s","leakedAt":"%s","severity":"high","price":%.2f,"source":{"name":"card shop","type":"market"},' ..
  '"logId":%s}'

render["dataleaks.paymentcards"] = function(bin)
  return function(id, time, a, b)
    local holder = FIRST[(a >> 1) % #FIRST + 1] .. " " .. LAST[(a >> 9) % #LAST + 1]
    return CARD:format(id, bin, card_number(bin, b), (a >> 17) % 12 + 1, 26 + (a >> 24 & 3), (a >> 32) % 1000,
      holder:upper(), vocabulary.banks[(a >> 42 & 3) + 1], vocabulary.countries[(a >> 44) % #vocabulary.countries + 1],
      time, (b >> 40 & 8191) / 100, log_id(b, b & 15))
  end
end

local EXPOSURE = '{"id":"%s","domain":"%s","asset":"host-%d.%s","ip":"198.51.100.%d","port":%d,"protocol":"tcp",' ..
  '"service":"%s","severity":"%s","detectedAt":"%s","cve":%s,"banner":%s,"resolved":%s}'

render.exposure = function(domain)
  return function(id, time, a, b)
    local what = vocabulary.exposures[(a >> 1) % #vocabulary.exposures + 1]
    local cve = a >> 24 & 3 == 0 and ('"CVE-2025-%05d"'):format(a >> 30 & 0xffff) or "null"
    local banner = b & 7 == 0 and vocabulary.scripts[(b >> 20) % #vocabulary.scripts + 1] or '""'
    return EXPOSURE:format(id, domain, a >> 8 & 63, domain, a >> 16 & 255, what[1], what[2], what[3], time, cve, banner,
      tostring(b & 16 == 0))
  end
end

local POST = '{"id":"%s","domain":"%s","victim":"%s","group":"%s","country":"%s",' ..
  '"postUrl":"http://%s%08x.example/posts/%d","publishedAt":"%s","severity":"critical","dataSizeBytes":%d,' ..
  '"samples":[],"negotiation":{},"note":%s}'

render.ransomware = function(domain)
  return function(id, time, a, b)
    local group = vocabulary.groups[(a >> 1) % #vocabulary.groups + 1]
    local country = vocabulary.countries[(a >> 8 & 0xff) % #vocabulary.countries + 1]
    local note = vocabulary.scripts[(b >> 4 & 0xff) % #vocabulary.scripts + 1]
    return POST:format(id, domain, domain:match("^[^.]+"), group, country, group, a >> 32, a & 0xffff, time, b >> 24,
      note)
  end
end

return render
