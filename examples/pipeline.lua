-- Credentials of every watched domain, normalized and correlated, as JSON lines.
return pipeline{
  scope = "watchlists",
  datasets = { "dataleaks.credentials", "dataleaks.documents", "dataleaks.paymentcards" },
  since = "2026-01-01", ["until"] = "2026-04-01", window = "1d", settle = "1h", lateness = "2d",
  rules = { "rules/" },
  sinks = { jsonl{ path = "../build/demo/out" } },
  store = "../build/demo/state.db",
}
