-- For wrk: as many requests at once as the argument says. usage: wrk -s pipeline.lua URL -- DEPTH
local batch

function init(args)
  batch = string.rep(wrk.format(), tonumber(args[1]))
end

function request()
  return batch
end
