-- Any password taken from an infected machine. Raises nothing by itself: three_services counts these records.
return rule{
  id = "5a3e8a51-2b7f-4d0b-8a0e-6a7c1f4b9d02",
  name = "stealer_log",
  title = "Password in a stealer log",
  level = "low",
  dataset = "dataleaks.credentials",

  match = function(r) return get(r, "source.type") == "stealer" and get(r, "email") ~= nil end,

  tests = {
    { name = "a stealer log matches, whatever the service", match = true,
      record = { email = "eve@acme.example", source = { name = "Streamia", type = "stealer" } } },
    { name = "a combo list does not", match = false,
      record = { email = "eve@acme.example", source = { name = "Streamia", type = "combolist" } } },
    { name = "a record without an e-mail does not", match = false,
      record = { email = null, source = { name = "Streamia", type = "stealer" } } },
  },
}
