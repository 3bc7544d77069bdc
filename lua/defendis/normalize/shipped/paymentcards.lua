-- paymentcards.lua: leaked payment cards as OCSF Data Security Finding: of the card its BIN, and what the host tells of its number.
local paymentcards = { target = "ocsf:2006" }

local TAKEN = { bin = true, holder = true, cardNumber = true, cvv = true }

-- Six or eight digits; more would be the number itself.
local function bin_of(k, r)
  local bin = k:text(r, "bin")
  return bin and bin:find "^%d+$" and #bin >= 4 and #bin <= 8 and bin or nil
end

-- A text that is no BIN is kept, unless it could be the number.
local function odd_bin(k, r)
  local bin = k:get(r, "bin")
  return not tostring(bin):find "%d%d%d%d%d%d%d%d%d" and bin or nil
end

--- The indicators of a record, for 5021: {type_id, value}.
function paymentcards.indicators(k, r)
  local number = k:secret(r, "cardNumber")
  return { { 99, number.hmac }, { 99, bin_of(k, r) and "BIN " .. bin_of(k, r) or nil } }
end

function paymentcards.map(k)
  return function(r)
    local bin, bank, holder, number = bin_of(k, r), k:text(r, "bank"), k:text(r, "holder"), k:secret(r, "cardNumber")
    local title = "Leaked payment card" .. (bin and " " .. bin or "") .. (bank and " of " .. bank or "")
    local fingerprint = number.hmac and { algorithm_id = 99, algorithm = "HMAC-SHA256", value = number.hmac }
    return k:document(2006, r, {
      message = title, is_alert = true,
      finding_info = { title = title, types = k:list(k:text(r, "source.type")), data_sources = k:list(k:text(r, "source.name")) },
      data_security = { category_id = 3, category = "Financial", data_lifecycle_state_id = 1, data_lifecycle_state = "Data at-Rest",
        detection_system_id = 99, detection_system = "Leak intelligence" },
      resources = k:list({ name = "payment card" .. (bin and " " .. bin or ""), type = "Payment Card", uid = number.hmac,
        owner = holder and { name = holder } or nil }),
    }, TAKEN, { bin = bin or odd_bin(k, r), last4 = number.last4, fingerprint = fingerprint or nil })
  end
end

return paymentcards
