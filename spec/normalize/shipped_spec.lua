-- shipped_spec.lua: the normalizers that come with the program, over records of the simulator and over records that lack things.
-- golden.jsonl has a document for each dataset and target, checked by eye; GOLDEN=write writes it anew.
local core = require "defendis.core"
local catalog = require "defendis.catalog"
local data = require "defendis.simulator.data"
local shipped = require "defendis.normalize.shipped"
local targets = require "defendis.normalize.targets"

local json = core.json
local HOST = { null = json.null, array = json.array }
local GOLDEN <const> = "spec/normalize/golden.jsonl"
local INPUTS = { domain = "acme.example", bin = "411111" }

local function encode(v) return assert(json.encode(v, { sort_keys = true })) end

-- The texts of all records of a dataset, of a small simulation.
local function records(dataset)
  local input = INPUTS[catalog.dataset(dataset).input]
  local series = data.new({ seed = 1, records = 3000, from = "2026-01-01", days = 90 })
    :series(dataset == "dataleaks.credentials_email" and "dataleaks.credentials" or dataset, input or "acme.example")
  local out = {}
  for i = 0, series.n - 1 do out[i + 1] = series.record(i) end
  return out
end

local function each(f)
  for _, dataset in ipairs(shipped.datasets()) do
    for _, target in ipairs(shipped.TARGETS) do f(dataset, shipped.get(dataset, target, HOST), target) end
  end
end

-- The document, which must pass its target, with nothing in the place of what is not there.
local function normalized(normalizer, record, what)
  local ok, doc = pcall(normalizer.map, record)
  assert(ok, ("%s, %s: %s"):format(normalizer.id, what, tostring(doc)))
  local faults = targets.get(normalizer.target).validate(doc)
  if faults then error(("%s, %s: %s: %s"):format(normalizer.id, what, faults[1].path, faults[1].message)) end
  local text = encode(doc)
  for _, word in ipairs{ "nil", "null", "table: 0x", "userdata" } do
    assert.is_nil(text:find("%f[%w]" .. word .. "%f[%W]"), ("%s, %s: %s"):format(normalizer.id, what, text))
  end
  return doc, text
end

describe("the shipped normalizers", function()
  it("are there for every dataset of the catalog, with its id and its time", function()
    for _, entry in ipairs(catalog.list()) do
      local normalizer = entry.dataset and shipped.get(entry.name, "ocsf", HOST)
      assert.equal(entry.dataset or false, normalizer ~= nil and normalizer ~= false)
      if normalizer then assert.same({ entry.id_field, entry.time }, { normalizer.id_field, normalizer.time }) end
    end
    assert.is_nil(shipped.get("dataleaks.stats", "ocsf", HOST))
    assert.equal("ocsf:2004", shipped.get("exposure", "ocsf", HOST).target)
    assert.equal("ocsf:2006", shipped.get("dataleaks.documents", "ocsf", HOST).target)
    assert.equal("ocsf:5021", shipped.get("ransomware", "ocsf:5021", HOST).target)
  end)

  it("make of each simulated record a document that its class allows, without its password, number or code", function()
    each(function(dataset, normalizer)
      for i, text in ipairs(records(dataset)) do
        local record = json.decode(text)
        local _, doc = normalized(normalizer, record, "record " .. i)
        for _, name in ipairs{ "password", "cardNumber" } do
          if record[name] then assert.is_nil(doc:find('"' .. record[name] .. '"', 1, true), doc) end
        end
        assert.is_nil(doc:find '"cvv":')
        assert.is_nil(doc:find '"cookies":')
      end
    end)
  end)

  it("make the documents of golden.jsonl", function()
    local lines = {}
    each(function(dataset, normalizer, target)
      local text = records(dataset)[4]
      lines[#lines + 1] = encode{ dataset = dataset, target = target, document = normalizer.map(json.decode(text)),
        record = json.decode(text) }
    end)
    if os.getenv "GOLDEN" == "write" then
      local f <close> = assert(io.open(GOLDEN, "w"))
      f:write(table.concat(lines, "\n"), "\n")
    end
    local n = 0
    for line in io.lines(GOLDEN) do
      n = n + 1
      assert.equal(line, lines[n])
    end
    assert.equal(n, #lines)
  end)

  -- A record with all that the maps read, and fields that they do not know.
  local FULL = {
    ["dataleaks.credentials"] = '{"id":"1","email":"eve@acme.example","username":"eve","password":"S3cret!","domain":"acme.example",'
      .. '"url":"https://eve:S3cret!@vpn.acme.example/?a=1","leakedAt":"2026-01-05T10:00:00Z","severity":"high","tags":["vip"],'
      .. '"source":{"name":"VPN","type":"stealer","malware":"Lumma"},"infectedMachine":{"hostname":"PC","ip":"203.0.113.9",'
      .. '"os":"Windows 11",'
      .. '"user":"eve"}}',
    ["dataleaks.documents"] = '{"id":"1","domain":"acme.example","fileName":"pay.csv","fileType":"csv","sizeBytes":5,"sha256":"ab",'
      .. '"tags":["x"],'
      .. '"url":"https://f.example/x","leakedAt":"2026-01-05","severity":"low","source":{"name":"share","type":"exposed"},"keywords":[],'
      .. '"author":"Eve"}',
    ["dataleaks.paymentcards"] = '{"id":"1","bin":"411111","cardNumber":"4111111111111111","expiry":"01/28","cvv":"123",'
      .. '"holder":"EVE","bank":"Atlas",'
      .. '"country":"MA","leakedAt":"2026-01-05","severity":"high","price":1.5,"source":{"name":"shop","type":"market"}}',
    exposure = '{"id":"1","domain":"acme.example","asset":"h.acme.example","ip":"198.51.100.1","port":22,"service":"ssh",'
      .. '"severity":"low",'
      .. '"detectedAt":"2026-01-05","cve":"CVE-2025-00001","banner":"x","protocol":"tcp","resolved":false}',
    ransomware = '{"id":"1","domain":"acme.example","victim":"acme","group":"irongate","country":"MA","postUrl":"http://x.example/1",'
      .. '"publishedAt":"2026-01-05","severity":"critical","note":"x"}',
  }
  FULL["dataleaks.credentials_email"] = FULL["dataleaks.credentials"]

  it("lose nothing but null when fields are missing, null or of another type", function()
    each(function(dataset, normalizer)
      for key in pairs(json.decode(FULL[dataset])) do
        for what, value in pairs{ missing = "-", null = json.null, text = "odd words", number = 987654, list = { "odd words" },
          object = { odd = "words" }, flag = true } do
          local record = json.decode(FULL[dataset])
          if value == "-" then record[key] = nil else record[key] = value end
          if key ~= "id" then
            local _, text = normalized(normalizer, record, key .. " " .. what)
            local kept = text:find("odd", 1, true) or text:find("987654", 1, true) or what == "flag"
            if what ~= "missing" and what ~= "null" and key ~= "password" and key ~= "cardNumber" and key ~= "cvv" then
              assert(kept, ("%s, %s as %s is lost: %s"):format(normalizer.id, key, what, text))
            end
          end
        end
      end
      local doc = normalized(normalizer, { id = "only" }, "nothing but an id")
      assert.equal("only", doc.metadata.original_event_uid)
      assert.same({ 0, "time:unknown" }, { doc.time, doc.metadata.labels[1] })
    end)
  end)

  it("put into unmapped what they do not know, and no secret under whatever name", function()
    each(function(dataset, normalizer)
      local record = json.decode(FULL[dataset])
      record.brandNew = { level = 7, list = { 1, 2 }, accessToken = "S3cret!", deep = { { pin = "S3cret!" } } }
      record.Passwort_password2, record.sessionCookie, record.note2 = "S3cret!", "S3cret!", "paid with 4111 1111 1111 1111"
      local doc, text = normalized(normalizer, record, "more fields")
      assert.same({ level = 7, list = { 1, 2 } }, doc.unmapped.brandNew)
      for _, secret in ipairs{ "S3cret!", "4111111111111111", "4111 1111" } do assert.is_nil(text:find(secret, 1, true), text) end
    end)
  end)

  it("tell of a secret what the host lets them", function()
    local seen = {}
    local host = { null = json.null, array = json.array, protect = function(v)
      seen[#seen + 1] = v
      return { hmac = ("a"):rep(64), last4 = "1111" }
    end }
    local credential = shipped.get("dataleaks.credentials", "ocsf", host).map(json.decode(FULL["dataleaks.credentials"]))
    assert.equal(("a"):rep(64), credential.evidences[1].user.credential_uid)
    local card = shipped.get("dataleaks.paymentcards", "ocsf", host).map(json.decode(FULL["dataleaks.paymentcards"]))
    assert.same({ ("a"):rep(64), "1111" }, { card.unmapped.fingerprint.value, card.unmapped.last4 })
    assert.same({ "S3cret!", "4111111111111111" }, seen)
  end)

  it("make of one record the same document, whatever came before it", function()
    each(function(dataset, normalizer)
      local first = encode(normalizer.map(json.decode(FULL[dataset])))
      normalizer.map{ id = "other" }
      normalizer.map{ id = "odd", source = 5, infectedMachine = { 1 }, email = {} }
      assert.equal(first, encode(normalizer.map(json.decode(FULL[dataset]))))
    end)
  end)

  it("are used for datasets without a normalizer where the host says so", function()
    local rules = require "defendis.rules"
    local own = { name = "own.lua", text = [[return normalizer{ id = "own", dataset = "exposure",
      map = function(r) return { own = r.id } end }]] }
    local host = { uuid5 = core.hash.uuid5, null = json.null, array = json.array, normalize = "ocsf" }
    local set = assert(rules.load({ own }, host))
    assert.same({ own = "1" }, set:apply("exposure", { id = "1" }, { id = "1" }).doc)
    assert.equal(2004, set:apply("ransomware", { id = "1" }, { id = "1" }).doc.class_uid)
    assert.equal("publishedAt", set:normalizer("ransomware").time)
  end)
end)
