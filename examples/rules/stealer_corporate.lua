-- A password taken from an infected machine is fresh and probably still works, unlike one in a combo list.
return rule{
  id = "b1f5a2c0-6a0e-4f5e-9a55-0d5d7e3c9c11",
  name = "stealer_corporate",
  title = "Corporate password in a stealer log",
  level = "high",
  dataset = "dataleaks.credentials",
  tags = { "attack.t1078" },

  match = function(r) return get(r, "source.type") == "stealer" and get(r, "email") ~= nil end,
  level_for = function(r) return r.severity == "critical" and "critical" or "high" end,
  generate = true, -- three_services counts these records; each is an alert of its own all the same
  dedup = function(r) return { r.email:lower(), get(r, "source.name") or "" } end,
  suppress = "24h",

  tests = {
    { name = "a stealer log is an alert", match = true, level = "high",
      record = { email = "eve@acme.example", severity = "medium", source = { name = "redline", type = "stealer" } } },
    { name = "a critical record keeps its level", match = true, level = "critical",
      record = { email = "eve@acme.example", severity = "critical", source = { name = "lumma", type = "stealer" } } },
    { name = "a combo list is not", match = false,
      record = { email = "eve@acme.example", severity = "high", source = { name = "big", type = "combolist" } } },
    { name = "a record without a source is not", match = false, record = { email = "eve@acme.example" } },
    { name = "a record without an e-mail is not", match = false,
      record = { email = null, source = { name = "redline", type = "stealer" } } },
  },
}
