-- cef_spec.lua: documents as lines of CEF and LEEF.
local cef = require "defendis.normalize.cef"

local BACK = { n = "\n", r = "\r", t = "\t" }
local function plain(text) return (text:gsub("\\(.)", function(c) return BACK[c] or c end)) end

-- The parts of a header of n parts, and what follows it: taken apart as the formats say, knowing nothing of how it was made.
local function header(line, n)
  local parts, at = {}, 1
  for i = 1, n do
    local from = at
    while line:sub(at, at) ~= "|" do at = at + (line:sub(at, at) == "\\" and 2 or 1) end
    parts[i], at = plain(line:sub(from, at - 1)), at + 1
  end
  return parts, line:sub(at)
end

local function parse_cef(line)
  local parts, rest = header(line, 7)
  local keys = {}
  for at, key in (" " .. rest):gmatch "() ([%w]+)=" do keys[#keys + 1] = { at = at, key = key } end
  local values = {}
  for i, k in ipairs(keys) do
    local stop = keys[i + 1] and keys[i + 1].at - 1 or #rest + 1
    values[k.key] = plain((" " .. rest):sub(k.at + #k.key + 2, stop))
  end
  return parts, values
end

local function parse_leef(line)
  local parts, rest = header(line, 6)
  local values = {}
  for key, value in rest:gmatch "([^=\t]+)=([^\t]*)" do values[key] = plain(value) end
  return parts, values
end

local SAMPLES = {}
for _, text in ipairs{ "a|b", "a=b", "a\\b", "a\nb", "a\r\nb", "\\", "|", "=", "\\|", "\\=", "\\n", "a\\\\=b", "==", "||", "\\\\", "\n",
  "CEF:0|x|", "key=value", "a\tb", "caf\xc3\xa9 \xe2\x82\xac", "a\\=b\nc|d", "\\\n", "=\\n=", "a\\", "|=\\", "\n\n",
  "https://x.example/?a=b&c=d|e",
  "C:\\temp\\new", "\\r\r", "x]\"y" } do SAMPLES[#SAMPLES + 1] = text end

describe("CEF and LEEF", function()
  it("give back " .. #SAMPLES .. " texts with signs that mean something", function()
    assert.equal(30, #SAMPLES)
    for _, text in ipairs(SAMPLES) do
      local d = { id = text, kind = "k" .. text, time = 1767225600001 }
      local doc = { title = text, url = text, severity = "HIGH", source = { name = text }, username = text }
      local in_header = text:gsub("%c", " ")
      local line = cef.cef(d, doc, "1." .. text)
      assert.is_nil(line:find "[\r\n]")
      local parts, v = parse_cef(line)
      assert.same({ "CEF:0", "Defendis", "defendis", "1." .. in_header, "k" .. in_header, in_header, "8" }, parts)
      assert.same({ text, text, text, text, text, "k" .. text, "1767225600001", "source" },
        { v.externalId, v.request, v.msg, v.cs1, v.duser, v.cat, v.rt, v.cs1Label })
      line = cef.leef(d, doc, "1." .. text)
      assert.is_nil(line:find "[\r\n]")
      parts, v = parse_leef(line)
      assert.same({ "LEEF:2.0", "Defendis", "defendis", "1." .. in_header, "k" .. in_header, "x09" }, parts)
      assert.same({ text, text, text, text, text, "k" .. text, "1767225600001", "8" },
        { v.externalId, v.url, v.msg, v.source, v.usrName, v.cat, v.devTime, v.sev })
    end
  end)

  it("name a finding by its rule and an OCSF document by its dataset", function()
    local finding = { level = "critical", title = "Three leaks", rule = { id = "r-1" }, type = "correlation",
      group = { email = "A@b.example" } }
    assert.equal("CEF:0|Defendis|defendis|1.0|r-1|Three leaks|10|cat=findings externalId=f rt=1 duser=a@b.example cs3=r-1 cs3Label=rule "
      .. "cs4=correlation cs4Label=type msg=Three leaks", cef.cef({ id = "f", kind = "findings", time = 1 }, finding, "1.0"))
    local ocsf = { severity = "Low", class_name = "Detection Finding", finding_info = { title = "Leaked" },
      unmapped = { domain = "b.example" }, evidences = { { user = { name = "ben" }, device = { hostname = "PC-1", ip = "2001:db8::1" },
        url = { url_string = "https://x.example" } } } }
    assert.equal("LEEF:2.0|Defendis|defendis|1.0|d|x09|cat=d\texternalId=o\tsev=3\tusrName=ben\tidentHostName=PC-1\tdst=2001:db8::1\t"
      .. "url=https://x.example\tdomain=b.example\ttype=Detection Finding\tmsg=Leaked", cef.leef({ id = "o", kind = "d" }, ocsf, "1.0"))
    assert.truthy(cef.cef({ id = "o", kind = "d" }, ocsf, "1.0"):find("c6a3=2001:db8::1 c6a3Label=Destination IPv6 Address", 1, true))
  end)

  it("leave out what a document does not have, or has in another shape", function()
    local null = require("defendis.core").json.null
    for _, doc in ipairs{ {}, { title = null, email = null, severity = null, source = null },
      { email = {}, title = { "x" }, rule = "x" }, false } do
      assert.equal("CEF:0|Defendis|defendis|1.0|d|d|Unknown|cat=d externalId=i", cef.cef({ id = "i", kind = "d" }, doc, "1.0"))
      assert.equal("LEEF:2.0|Defendis|defendis|1.0|d|x09|cat=d\texternalId=i", cef.leef({ id = "i", kind = "d" }, doc, "1.0"))
    end
  end)
end)
