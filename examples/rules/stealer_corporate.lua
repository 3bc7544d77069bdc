-- A password for a service of ours, taken from an infected machine: fresh, and it probably still works, unlike one in a combo list.
local function is_ours(r)
  local host, domain = (get(r, "url") or ""):lower():match("^%w+://([^/:?#]+)"), get(r, "domain")
  return host ~= nil and domain ~= nil and ("." .. host):sub(-#domain - 1) == "." .. domain:lower()
end

return rule{
  id = "b1f5a2c0-6a0e-4f5e-9a55-0d5d7e3c9c11",
  name = "stealer_corporate",
  title = "Corporate password in a stealer log",
  level = "high",
  dataset = "dataleaks.credentials",
  tags = { "attack.t1078" },

  match = function(r) return get(r, "source.type") == "stealer" and get(r, "email") ~= nil and is_ours(r) end,
  level_for = function(r) return r.severity == "critical" and "critical" or "high" end,
  dedup = function(r) return { r.email:lower(), get(r, "source.name") or "" } end,
  suppress = "24h",

  tests = {
    { name = "a stealer log with a service of ours is an alert", match = true, level = "high",
      record = { email = "eve@acme.example", domain = "acme.example", url = "https://vpn.acme.example/login", severity = "medium",
        source = { name = "Corporate VPN", type = "stealer" } } },
    { name = "a critical record keeps its level", match = true, level = "critical",
      record = { email = "eve@acme.example", domain = "acme.example", url = "https://ACME.example", severity = "critical",
        source = { name = "Website", type = "stealer" } } },
    { name = "somebody else's service is not, even when our name is in it", match = false,
      record = { email = "eve@acme.example", domain = "acme.example", url = "https://notacme.example/acme.example", severity = "high",
        source = { name = "Streamia", type = "stealer" } } },
    { name = "a combo list is not", match = false,
      record = { email = "eve@acme.example", domain = "acme.example", url = "https://vpn.acme.example/", severity = "high",
        source = { name = "big", type = "combolist" } } },
    { name = "a record without a source is not", match = false, record = { email = "eve@acme.example" } },
    { name = "a record without an e-mail is not", match = false,
      record = { email = null, domain = "acme.example", url = "https://vpn.acme.example/",
        source = { name = "Corporate VPN", type = "stealer" } } },
  },
}
