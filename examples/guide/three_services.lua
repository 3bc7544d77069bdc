-- Three services of one person within three days: not one password is lost, but the computer.
local function leak(person, service, at)
  return { email = person .. "@acme.example", leakedAt = at, source = { name = service, type = "stealer" } }
end

return correlation{
  id = "guide.three_services",
  title = "Three services of one person within three days",
  type = "value_count",
  rules = { "guide.stealer" },
  group_by = { "email" },
  timespan = "3d",
  condition = { field = "source.name", gte = 3 },
  level = "high",
  tests = {
    { name = "three in three days", findings = 1, events = {
      leak("eve", "VPN", "2026-01-05T08:00:00Z"),
      leak("eve", "Mail", "2026-01-05T09:00:00Z"),
      leak("eve", "Wiki", "2026-01-05T10:00:00Z") } },
    { name = "the third comes exactly three days after the first", findings = 0, events = {
      leak("eve", "VPN", "2026-01-05T08:00:00Z"),
      leak("eve", "Mail", "2026-01-05T09:00:00Z"),
      leak("eve", "Wiki", "2026-01-08T08:00:00Z") } },
    { name = "three people", findings = 0, events = {
      leak("eve", "VPN", "2026-01-05T08:00:00Z"),
      leak("bob", "Mail", "2026-01-05T09:00:00Z"),
      leak("ann", "Wiki", "2026-01-05T10:00:00Z") } },
  },
}
