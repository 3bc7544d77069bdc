-- Records of the account of our own scanner, taken away from rules that are written elsewhere.
return filter{
  id = "guide.scanner",
  title = "The account of our own scanner",
  rules = { "guide.stealer", "guide.admin" },
  match = function(record) return get(record, "email") ~= nil and email.canonical(record.email) == "felix.keller@acme.example" end,
  tests = {
    { name = "the scanner", match = true, record = { email = "Felix.Keller@acme.example" } },
    { name = "somebody else", match = false, record = { email = "eve@acme.example" } },
  },
}
