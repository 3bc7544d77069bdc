-- reference.lua: what each name that a rule file sees beside Lua's own does, as data: `defendis catalog --helpers` prints it, the
-- reference's table is made of it, and a spec runs each example.
--
-- { name, arguments, result, example, gives }: gives is Lua for the value of the example, compared in depth.
local reference = {}

-- Below "lists/vip.csv" stand: email,team / ana@acme.example,finance / ben@acme.example,sales.
local ENTRIES = {
  { "email.canonical", "text [, { tags, dots }]", "the one spelling of a mailbox: lower case, A-labels, tags and dots gone where the "
    .. "provider ignores them (`true`), never (`false`) or everywhere (`\"any\"`)",
    'email.canonical(" Ana.B+shop@GMail.com")', '"anab@gmail.com"' },
  { "email.domain", "text", "the domain of an address", 'email.domain("ana@ACME.example")', '"acme.example"' },
  { "domain.ascii", "host", "the host in lower case and A-labels", 'domain.ascii("Bücher.Example.")', '"xn--bcher-kva.example"' },
  { "domain.registrable", "host", "what its owner has registered, by Debian's package publicsuffix (or the file "
    .. "`$DEFENDIS_PUBLIC_SUFFIX_LIST`)", 'domain.registrable("www.acme.co.uk")', '"acme.co.uk"' },
  { "domain.is_under", "host, domain or list", "whether it is the domain or below it",
    'domain.is_under("vpn.acme.example", "acme.example")',
    "true" },
  { "url.parse", "text", "{ scheme, user, host, port, path, query }; also without a scheme, of apps, with IPv6",
    'url.parse("acme.example:8443/login?next=a")', '{ host = "acme.example", port = 8443, path = "/login", query = "next=a" }' },
  { "url.host", "text", "the host alone", 'url.host("android://aGFzaA==@com.acme.app/")', '"com.acme.app"' },
  { "hash.kind", "text", "md5, ntlm?, sha1, sha256, bcrypt, argon2, phpass, sha512crypt ... by its shape; nil for none",
    'hash.kind("5f4dcc3b5aa765d61d8327deb882cf99")', '"md5"' },
  { "card.check", "text or integer", "{ brand, bin, last4 } when length and check digit are right",
    'card.check("4111 1111 1111 1111")', '{ brand = "visa", bin = "411111", last4 = "1111" }' },
  { "cidr.match", "address, network or list", "whether it is in there", 'cidr.match("10.1.2.3", "10.0.0.0/8")', "true" },
  { "cidr.list", "networks", "a list made once: `own:contains(address)`",
    'cidr.list{ "10.0.0.0/8", "2001:db8::/32" }:contains("2001:db8::1")', "true" },
  { "re.new", "pattern [, flags]", "a PCRE2 pattern with limits; flags i m s x u. `p:test(text)`, `p:find(text)`, `p:match(text)`: "
    .. "captures by number and name; [0] is the whole", [[re.new("(?<user>\\w+)@", "i"):match("to: Ana@acme")]],
    '{ [0] = "Ana@", "Ana", user = "Ana" }' },
  { "lookup.csv", "file, { key [, fold, separator, duplicates] }", "a table from a file beside the rule, read when it is loaded: "
    .. "`t:get(key [, column])`, `t:has(key)`, `t:len()`", 'lookup.csv("lists/vip.csv", { key = "email" }):get("ana@acme.example", "team")',
    '"finance"' },
  { "lookup.json", "file [, { key, fold, duplicates }]", "the same from a JSON object, or a list of objects with a key",
    'lookup.json("lists/teams.json"):get("finance")', '{ lead = "ana" }' },
  { "lookup.lua", "file [, { key, fold, duplicates }]", "the same from a Lua file that returns a table",
    'lookup.lua("lists/levels.lua"):get("finance")', '"high"' },
  { "time.parse", "text", "Unix milliseconds of ISO 8601 text", 'time.parse("2026-01-31T12:00:00Z")', "1769860800000" },
  { "time.of", "text or number", "the same, also for what are milliseconds already", "time.of(1769860800000)", "1769860800000" },
  { "time.format", "ms", "ISO 8601 text", "time.format(1769860800000)", '"2026-01-31T12:00:00Z"' },
  { "time.date", "ms", "the day", "time.date(1769860800000)", '"2026-01-31"' },
  { "time.span", "text", "milliseconds of a span: ms, s, m, h, d, w", 'time.span("24h")', "86400000" },
  { "time.floor", "ms, span", "the begin of the hour, day or week it lies in", 'time.floor(1769860800000, "1d")', "1769817600000" },
  { "time.parts", "ms", "{ year, month, day, hour, minute, second, ms, weekday }; Monday is 1", "time.parts(1769860800000).weekday", "6" },
  { "get", "record, path", "the value at a dotted path, or nil when a part is missing or null",
    'get({ source = { type = "stealer" } }, "source.type")',
    '"stealer"' },
  { "array", "list", "the list, written as a JSON array also when it is empty", "#array{ 1, 2 }", "2" },
  { "null", "", "JSON's null", 'get({ a = null }, "a")', "nil" },
  { "ocsf.detection_finding", "document", "the document with what OCSF's class 2004 fixes; raises when something is missing",
    'ocsf.detection_finding{ time = 0, severity_id = 4, finding_info = { title = "t", uid = "u" } }.class_uid', "2004" },
  { "ocsf.severity_id", "level", "OCSF's number of a level", 'ocsf.severity_id("high")', "4" },
  { "ocsf.version", "", "the version of OCSF", "ocsf.version", '"1.8.0"' },
}

--- All entries, in order: { name, arguments, result, example, gives }.
function reference.list()
  local out = {}
  for i, e in ipairs(ENTRIES) do out[i] = { name = e[1], arguments = e[2], result = e[3], example = e[4], gives = e[5] } end
  return out
end

--- The reference's table of them, in Markdown.
function reference.markdown()
  local lines = { "| helper | result | example |", "| --- | --- | --- |" }
  for _, e in ipairs(reference.list()) do
    local call = e.arguments == "" and e.name or ("%s(%s)"):format(e.name, e.arguments)
    lines[#lines + 1] = ("| `%s` | %s | `%s`: `%s` |"):format(call, e.result, e.example, e.gives)
  end
  return table.concat(lines, "\n") .. "\n"
end

return reference
