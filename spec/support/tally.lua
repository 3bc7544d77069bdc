-- tally.lua: busted output handler that names what failed and ends with "N passed, N failed".
return function(options)
  local busted = require "busted"
  local handler = require "busted.outputHandlers.base"()
  local passed, failed, skipped = 0, 0, 0

  local function name(element) return handler.getFullName(element) end

  handler.testEnd = function(element, _, status)
    if status == "success" then
      passed = passed + 1
    elseif status == "pending" then
      skipped = skipped + 1
      print("skipped: " .. name(element))
    else
      failed = failed + 1
      print("FAILED:  " .. name(element))
    end
    return nil, true
  end

  handler.fileEnd = function(file)
    if options.verbose then print(file.name) end
    return nil, true
  end

  handler.suiteEnd = function()
    for _, list in ipairs{ handler.failures, handler.errors } do
      for _, f in ipairs(list) do
        local message = type(f.message) == "string" and f.message or require("pl.pretty").write(f.message)
        print(("\n%s\n  %s:%s\n%s"):format(f.name or "?", f.trace and f.trace.short_src or "?",
          f.trace and f.trace.currentline or "?", message))
        if f.trace and f.trace.traceback and f.element and f.element.descriptor ~= "it" then print(f.trace.traceback) end
      end
    end
    -- an error outside a test (a file that does not load) is a failure too
    local outside = 0
    for _, e in ipairs(handler.errors) do
      if not e.element or e.element.descriptor ~= "it" then outside = outside + 1 end
    end
    print(("\n%d passed, %d failed%s"):format(passed, failed + outside, skipped > 0 and (", %d skipped"):format(skipped) or ""))
    return nil, true
  end

  busted.subscribe({ "test", "end" }, handler.testEnd, { predicate = handler.cancelOnPending })
  busted.subscribe({ "file", "end" }, handler.fileEnd)
  busted.subscribe({ "suite", "end" }, handler.suiteEnd)
  return handler
end
