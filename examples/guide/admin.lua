-- A password of an administrator, whatever it was taken with.
return rule{
  id = "guide.admin",
  title = "Password of an administrator",
  dataset = "dataleaks.credentials",
  level = "high",
  match = function(record)
    for _, tag in ipairs(get(record, "tags") or {}) do
      if tag == "admin" then return true end
    end
    return false
  end,
  tests = {
    { name = "an administrator", match = true, record = { tags = { "corporate", "admin" } } },
    { name = "somebody else", match = false, record = { tags = { "corporate" } } },
    { name = "no tags at all", match = false, record = {} },
  },
}
