-- condition.lua: the condition of a detection: and, or, not, parentheses, `1 of x*`, `all of them`.
--
--   condition.compile(text, searches, names, fail) -> function(record) -> boolean, and the set of names that it uses
--     searches: name -> function(record); names: in written order; precedence not > and > or
local check = require "defendis.check"

local condition = {}

local DEPTH_MAX = 64
local Parser = {}
Parser.__index = Parser

local function all(list)
  if #list == 1 then return list[1] end
  return function(record)
    for i = 1, #list do
      if not list[i](record) then return false end
    end
    return true
  end
end

local function any(list)
  if #list == 1 then return list[1] end
  return function(record)
    for i = 1, #list do
      if list[i](record) then return true end
    end
    return false
  end
end
condition.all, condition.any = all, any

local function tokens(text, fail)
  local out, at = {}, 1
  while true do
    at = text:match("^%s*()", at)
    if at > #text then return out end
    local word = text:match("^[%w_*?.-]+", at) or text:match("^[()]", at)
    if text:sub(at, at) == "|" then
      fail("what stands behind | is an aggregation of old rules, write a document with correlation: instead")
    end
    if not word then fail(('"%s" is no part of a condition'):format(text:match(utf8.charpattern, at))) end
    out[#out + 1] = word
    at = at + #word
  end
end

function Parser:peek() return self.tokens[self.at] end

function Parser:word() return (self.tokens[self.at] or ""):lower() end

function Parser:next()
  local token = self.tokens[self.at]
  if not token then self.fail("the condition ends too early") end
  self.at = self.at + 1
  return token
end

-- Searches whose names fit a pattern; one that begins with _ is meant by its name only.
function Parser:selected(pattern)
  local lua = "^" .. pattern:gsub("[%-.]", "%%%0"):gsub("%*", ".*") .. "$"
  if pattern:lower() == "them" then lua, pattern = "", "them" end
  local out = {}
  for _, name in ipairs(self.names) do
    if name:find(lua) and (name:sub(1, 1) ~= "_" or pattern:sub(1, 1) == "_") then
      out[#out + 1] = self.searches[name]
      self.used[name] = true
    end
  end
  if #out == 0 then self.fail(('no search is meant by "%s"'):format(pattern)) end
  return out
end

function Parser:search()
  local token = self:next()
  local quantifier = token:lower()
  if self:word() == "of" then
    if quantifier ~= "1" and quantifier ~= "any" and quantifier ~= "all" then
      self.fail(('"%s of" is not supported, only 1, any and all'):format(token))
    end
    self:next()
    local pattern = self:next()
    if pattern:find("[()?]") then self.fail(('"%s of" is followed by them or a name, which may hold *'):format(token)) end
    return (quantifier == "all" and all or any)(self:selected(pattern))
  end
  local search = self.searches[token]
  if not search then self.fail(check.unknown(token, self.searches, "search")) end
  self.used[token] = true
  return search
end

function Parser:unary()
  self.depth = self.depth + 1
  if self.depth > DEPTH_MAX then self.fail(("deeper than %d levels"):format(DEPTH_MAX)) end
  local out
  if self:word() == "not" then
    self:next()
    local inner = self:unary()
    out = function(record) return not inner(record) end
  elseif self:peek() == "(" then
    self:next()
    out = self:either()
    if self:peek() ~= ")" then self.fail('a ")" is missing') end
    self:next()
  else
    out = self:search()
  end
  self.depth = self.depth - 1
  return out
end

-- Terms that one word joins.
function Parser:joined(word, term, combine)
  local list = { term(self) }
  while self:word() == word do
    self:next()
    list[#list + 1] = term(self)
  end
  return combine(list)
end

function Parser:both() return self:joined("and", self.unary, all) end
function Parser:either() return self:joined("or", self.both, any) end

function condition.compile(text, searches, names, fail)
  local parser = setmetatable({ tokens = tokens(text, fail), at = 1, depth = 0, searches = searches, names = names, used = {},
    fail = fail }, Parser)
  if #parser.tokens == 0 then fail("the condition is empty") end
  local out = parser:either()
  if parser:peek() then fail(('"%s" is not expected here'):format(parser:peek())) end
  return out, parser.used
end

return condition
