-- osint.lua: a record of any dataset as OCSF OSINT Inventory Info: its indicators, each with what is known of its source.

--- A map. module: the dataset's normalizer, which has `indicators`; dataset: its name.
return function(k, module, dataset)
  return function(r)
    local actor, url, found = module.actor and module.actor(k, r), k:url(r, "postUrl"), {}
    local list = module.indicators(k, r)
    for i = 1, 6 do
      local type_id, value = (list[i] or {})[1], (list[i] or {})[2]
      if value then
        found[#found + 1] = { type_id = type_id, value = value, tlp = "AMBER", vendor_name = "Defendis", src_url = url,
          category = dataset, threat_actor = actor and { name = actor, type_id = 2 } or nil }
      end
    end
    -- a class of indicators has at least one; the record's id names what there is
    if not found[1] then found[1] = { type_id = 0, value = "record " .. tostring(k:get(r, "id")), vendor_name = "Defendis",
      category = dataset } end
    local doc = k:document(5021, r, { message = "Intelligence of " .. dataset, osint = k:array(found) }, {})
    doc.metadata.uid = doc.metadata.original_event_uid
    return doc
  end
end
