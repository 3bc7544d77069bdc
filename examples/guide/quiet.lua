-- What did not come, and what was never there before.
local function document(at) return { domain = "acme.example", leakedAt = at } end

local function stolen(malware, at)
  return { email = "eve@acme.example", domain = "acme.example", leakedAt = at, source = { type = "stealer", malware = malware } }
end

return {
  rule{
    id = "guide.document",
    title = "A document",
    dataset = "dataleaks.documents",
    level = "informational",
    match = function(record) return get(record, "domain") ~= nil end,
    tests = {
      { name = "a document", match = true, record = document "2026-01-05" },
      { name = "one of nobody", match = false, record = {} },
    },
  },
  correlation{
    id = "guide.silence",
    title = "No document for two weeks: is the feed still there?",
    type = "absence",
    rules = { "guide.document" },
    group_by = { "domain" },
    entities = { "acme.example" },
    timespan = "14d",
    level = "low",
    tests = {
      { name = "one a week", findings = 0, since = "2026-01-01", ["until"] = "2026-01-20",
        events = { document "2026-01-05", document "2026-01-12" } },
      { name = "none after the first", findings = 1, since = "2026-01-01", ["until"] = "2026-01-20",
        events = { document "2026-01-05" } },
      { name = "none at all", findings = 1, since = "2026-01-01", ["until"] = "2026-01-20", events = {} },
    },
  },
  correlation{
    id = "guide.new_malware",
    title = "Malware that this company did not have before",
    type = "new_value",
    rules = { "guide.stealer" },
    group_by = { "domain" },
    condition = { field = "source.malware" },
    timespan = "30d",
    level = "medium",
    tests = {
      { name = "another one", findings = 1, events = { stolen("RedLine", "2026-01-05"), stolen("Lumma", "2026-01-06") } },
      { name = "the first of all is not new", findings = 0, events = { stolen("RedLine", "2026-01-05") } },
      { name = "the same again", findings = 0, events = { stolen("RedLine", "2026-01-05"), stolen("RedLine", "2026-01-06") } },
    },
  },
}
