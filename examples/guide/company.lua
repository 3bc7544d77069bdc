-- Three people of one company within two weeks, each with three services: it spreads. A correlation that counts findings of another one.
local function leak(person, service, at)
  return { email = person .. "@acme.example", domain = "acme.example", leakedAt = at, source = { name = service, type = "stealer" } }
end

-- The records that make one finding of guide.three_services, for each person named, on a day of January.
local function computers(people)
  local events = {}
  for person, day in pairs(people) do
    for hour, service in ipairs{ "VPN", "Mail", "Wiki" } do
      events[#events + 1] = leak(person, service, ("2026-01-%02dT%02d:00:00Z"):format(day, hour))
    end
  end
  return events
end

return correlation{
  id = "guide.company",
  title = "Computers of three people of one company within two weeks",
  type = "value_count",
  rules = { "guide.three_services" },
  group_by = { "domain" },
  timespan = "14d",
  condition = { field = "email", gte = 3 },
  level = "critical",
  generate = true,
  tests = {
    { name = "three people", findings = 1, events = computers{ eve = 5, bob = 6, ann = 9 } },
    { name = "two people", findings = 0, events = computers{ eve = 5, bob = 6 } },
    { name = "the third comes too late", findings = 0, events = computers{ eve = 5, bob = 6, ann = 25 } },
  },
}
