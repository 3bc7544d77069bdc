-- What a document on an open share becomes, by a function.
return normalizer{
  id = "guide.documents",
  dataset = "dataleaks.documents",
  time = "leakedAt",
  map = function(record)
    return {
      uid = record.id,
      seen = time.parse(record.leakedAt),
      file = record.fileName,
      place = get(record, "source.name"),
    }
  end,
  tests = {
    { name = "keeps the name and the place",
      input = { id = "d-1", leakedAt = "2026-01-05T10:00:00Z", fileName = "pay.csv", source = { name = "open share" } },
      expect = { uid = "d-1", seen = 1767607200000, file = "pay.csv", place = "open share" } },
    { name = "a document from nowhere has no place",
      input = { id = "d-2", leakedAt = "2026-01-05T10:00:00Z", fileName = "pay.csv", source = null },
      expect = { file = "pay.csv", place = null } },
  },
}
