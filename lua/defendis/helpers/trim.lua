-- trim.lua: a text without white space at its ends, in time that grows with its length only.
return function(text)
  local first = text:find("%S")
  return first and text:match("^.*%S", first) or ""
end
