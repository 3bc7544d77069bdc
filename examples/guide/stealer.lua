-- A password that malware took from somebody's computer. One alert a day for each person.
local vip = lookup.csv("lists/vip.csv", { key = "email", fold = email.canonical })

return rule{
  id = "guide.stealer",
  name = "stealer",
  title = "Password in a stealer log",
  dataset = "dataleaks.credentials",
  level = "low",
  tags = { "attack.t1555" },
  generate = true,
  match = function(record) return get(record, "source.type") == "stealer" and get(record, "email") ~= nil end,
  level_for = function(record)
    if vip:has(record.email) then return "critical" end
    if get(record, "severity") == "critical" then return "high" end
  end,
  title_for = function(record) return "Password of " .. record.email .. " in a stealer log" end,
  context = function(record)
    return { service = get(record, "source.name"), machine = get(record, "infectedMachine.hostname"), secret = get(record, "password") }
  end,
  dedup = function(record) return email.canonical(record.email) end,
  suppress = "24h", -- lint: ignore short-suppress
  tests = {
    { name = "a stealer log", match = true, level = "low", title = "Password of eve@acme.example in a stealer log",
      context = { service = "VPN" },
      record = { email = "eve@acme.example", severity = "medium", source = { type = "stealer", name = "VPN" } } },
    { name = "a critical one", match = true, level = "high",
      record = { email = "eve@acme.example", severity = "critical", source = { type = "stealer" } } },
    { name = "somebody on the list, in capitals", match = true, level = "critical",
      record = { email = "Anna.Keller@ACME.example", source = { type = "stealer" } } },
    { name = "a combo list", match = false, record = { email = "eve@acme.example", source = { type = "combolist" } } },
    { name = "no source", match = false, record = { email = "eve@acme.example" } },
  },
}
