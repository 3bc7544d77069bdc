-- junit.lua: a report of ruletest.run as JUnit XML.
local ESCAPES = { ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;", ['"'] = "&quot;", ["\n"] = "&#10;" }

-- XML 1.0 has no way to write most control characters, and bytes that are no UTF-8 would spoil the file.
local function xml(text)
  text = tostring(text)
  if not utf8.len(text) then text = text:gsub("[\x80-\xff]", "?") end
  return (text:gsub("\u{FFFE}", "?"):gsub("\u{FFFF}", "?"):gsub("[%z\1-\8\11-\31\127]", "?"):gsub('[&<>"\n]', ESCAPES))
end

--- A report as JUnit XML, one suite per file.
return function(report)
  local files, suites = {}, {}
  for _, t in ipairs(report.tests) do
    local suite = suites[t.file]
    if not suite then
      suite = { failures = 0 }
      suites[t.file], files[#files + 1] = suite, t.file
    end
    local open = ('    <testcase classname="%s" name="%s"'):format(xml(t.rule), xml(t.name))
    if t.ok then
      suite[#suite + 1] = open .. "/>"
    else
      suite.failures = suite.failures + 1
      suite[#suite + 1] = ('%s>\n      <failure message="%s"/>\n    </testcase>'):format(open, xml(t.message))
    end
  end
  local out = { '<?xml version="1.0" encoding="UTF-8"?>',
    ('<testsuites tests="%d" failures="%d">'):format(#report.tests, report.failed) }
  for _, file in ipairs(files) do
    local suite = suites[file]
    out[#out + 1] = ('  <testsuite name="%s" tests="%d" failures="%d">'):format(xml(file), #suite, suite.failures)
    table.move(suite, 1, #suite, #out + 1, out)
    out[#out + 1] = "  </testsuite>"
  end
  out[#out + 1] = "</testsuites>\n"
  return table.concat(out, "\n")
end
