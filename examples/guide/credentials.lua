-- What a leaked credential becomes, by a table.
return normalizer{
  id = "guide.credentials",
  dataset = "dataleaks.credentials",
  time = "leakedAt",
  map = {
    uid = field "id",
    seen = millis "leakedAt",
    ["user.email"] = lower "email",
    ["user.host"] = field "infectedMachine.hostname",
    site = host "url",
    severity = lookup("severity", { low = 2, medium = 3, high = 4, critical = 5 }, 0),
    summary = concat("Credential of ", first_of("email", "username"), " for ", host "url"),
    password = hmac "password",
  },
  tests = {
    { name = "names the person and the site",
      input = { id = "c-1", leakedAt = "2026-01-05T10:00:00Z", email = "Eve@acme.example", url = "https://vpn.acme.example/login",
        severity = "high", password = "x", logId = 7, source = { type = "stealer" } },
      expect = { seen = 1767607200000, user = { email = "eve@acme.example", host = null }, site = "vpn.acme.example", severity = 4,
        summary = "Credential of Eve@acme.example for vpn.acme.example" } },
  },
}
