-- cache.lua: rendered pages up to a number of bytes; the half that was not used lately goes first.
local cache = {}
cache.__index = cache

function cache.new(bytes) return setmetatable({ half = bytes // 2, young = {}, old = {}, used = 0 }, cache) end

function cache:get(key)
  local text = self.young[key]
  if text then return text end
  text = self.old[key]
  if text then self:put(key, text) end
  return text
end

function cache:put(key, text)
  if #text > self.half then return end
  if self.used + #text > self.half then self.old, self.young, self.used = self.young, {}, 0 end
  self.young[key], self.old[key] = text, nil
  self.used = self.used + #text
end

return cache
