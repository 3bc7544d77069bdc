-- Passwords for three services of one person in one day: the machine they came from is compromised, not one account.
local function leak(person, service, at)
  return { email = person .. "@acme.example", domain = "acme.example", leakedAt = at,
    source = { name = service, malware = "redline", type = "stealer" } }
end

return correlation{
  id = "0c2fd1b4-93a5-4f0a-8f0e-8f5b6f7a2d10",
  title = "Three services leaked for one person within a day",
  type = "value_count",
  rules = { "stealer_log" },
  group_by = { "email" },
  timespan = "24h",
  condition = { field = "source.name", gte = 3 },
  level = "critical",

  tests = {
    { name = "three services in a day", findings = 1, events = {
      leak("eve", "Corporate VPN", "2026-01-05T08:00:00Z"),
      leak("eve", "Streamia", "2026-01-05T09:00:00Z"),
      leak("eve", "Shoply", "2026-01-06T07:59:59Z") } },
    { name = "the third exactly a day after the first is too late", findings = 0, events = {
      leak("eve", "Corporate VPN", "2026-01-05T08:00:00Z"),
      leak("eve", "Streamia", "2026-01-05T09:00:00Z"),
      leak("eve", "Shoply", "2026-01-06T08:00:00Z") } },
    { name = "the same service three times", findings = 0, events = {
      leak("eve", "Corporate VPN", "2026-01-05T08:00:00Z"),
      leak("eve", "Corporate VPN", "2026-01-05T09:00:00Z"),
      leak("eve", "Corporate VPN", "2026-01-05T10:00:00Z") } },
    { name = "three services of three people", findings = 0, events = {
      leak("eve", "Corporate VPN", "2026-01-05T08:00:00Z"),
      leak("bob", "Streamia", "2026-01-05T09:00:00Z"),
      leak("ann", "Shoply", "2026-01-05T10:00:00Z") } },
  },
}
