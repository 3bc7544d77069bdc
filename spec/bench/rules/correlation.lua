-- Three different services of one e-mail address within a day; peer.py has the same one.
-- luacheck: read globals correlation null rule
return {
  rule{ id = "bench.leak", title = "Leaked credential", level = "low", dataset = "dataleaks.credentials",
    match = function(r) return r.email ~= nil and r.email ~= null end },
  correlation{ id = "bench.three_services", title = "Three services leaked within a day", type = "value_count",
    rules = { "bench.leak" }, group_by = { "email" }, timespan = "24h", condition = { field = "source.name", gte = 3 },
    level = "high" },
}
