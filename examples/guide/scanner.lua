-- Records of the account of our own scanner, taken away from rules that are written elsewhere.
return filter{
  id = "guide.scanner",
  title = "The account of our own scanner",
  rules = { "guide.stealer", "guide.admin" },
  match = { email = "felix.keller@acme.example" },
  tests = {
    { name = "the scanner", match = true, record = { email = "felix.keller@acme.example" } },
    { name = "somebody else", match = false, record = { email = "eve@acme.example" } },
  },
}
