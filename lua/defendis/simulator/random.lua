-- random.lua: numbers that are a pure function of a key and an index, and the way back.
local random = {}

local GOLDEN = 0x9e3779b97f4a7c15
local M1, M2 = 0xbf58476d1ce4e5b9, 0x94d049bb133111eb

-- Newton's iteration modulo 2^64 doubles the correct bits each time; any odd number starts with three.
local function inverse(odd)
  local x = odd
  for _ = 1, 5 do x = x * (2 - odd * x) end
  return x
end

local M1_INVERSE, M2_INVERSE, GOLDEN_INVERSE = inverse(M1), inverse(M2), inverse(GOLDEN)

-- The finalizer of SplitMix64: a bijection on 64 bits.
local function mix(z)
  z = (z ~ (z >> 30)) * M1
  z = (z ~ (z >> 27)) * M2
  return z ~ (z >> 31)
end

local function unmix(z)
  z = (z ~ (z >> 31) ~ (z >> 62)) * M2_INVERSE
  z = (z ~ (z >> 27) ~ (z >> 54)) * M1_INVERSE
  return z ~ (z >> 30) ~ (z >> 60)
end

random.mix = mix

--- 64 bits for element i of the sequence `key`; no two elements of a sequence are equal.
function random.at(key, i) return mix(key + i * GOLDEN) end

--- The i for which random.at(key, i) is `value`.
function random.index(key, value) return (unmix(value) - key) * GOLDEN_INVERSE end

--- A key out of text (FNV-1a, mixed).
function random.key(text)
  local h = 0xcbf29ce484222325
  for i = 1, #text do h = (h ~ text:byte(i)) * 0x100000001b3 end
  return mix(h)
end

--- A fraction in [0, 1) out of 64 bits.
function random.fraction(bits) return (bits >> 11) * 0x1p-53 end

return random
