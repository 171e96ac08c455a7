-- HTTP and HTTPS server with WebSocket. usage: luajit server.lua CERT KEY
local mg = require 'mongoose'

local function file(path)
  local f = assert(io.open(path))
  local text = f:read '*a'
  f:close()
  return text
end

local cert, key = file(arg[1]), file(arg[2])
mg.log_level(1)
local m = mg.manager()

local pages = {
  ['/hello'] = function(c) c:reply(200, 'hello') end,
  ['/echo'] = function(c, hm)
    c:reply(200, hm.body, ('X-Method: %s\r\nX-Query: %s\r\nX-Seen: %s\r\n'):format(hm.method, hm.query, hm:header 'x-sent' or ''))
  end,
  ['/ws'] = function(c, hm) c:ws_upgrade(hm) end,
  ['/slow'] = function(c) m:timer(300, function() if c.at then c:reply(200, 'slow') end end) end,
  ['/chunks'] = function(c)
    c:begin(200)
    c:chunk 'one'
    c:chunk 'two'
    c:finish()
  end,
  ['/last'] = function(c)
    c:reply(200, 'last')
    c:drain()
  end,
}

local function handler(c, ev, data)
  if ev == mg.EV_WS_MSG then c:ws_send(data.data, data.op) end
  if ev == mg.EV_HTTP_HDRS and data.uri == '/early' then c:reply(200, 'early' .. data.body) end
  if ev == mg.EV_HTTP_MSG then
    local page = pages[data.uri] or function() c:reply(404, 'no such page') end
    page(c, data)
  end
end

local http = m:listen('http://127.0.0.1:0', handler)
local https = m:listen('https://127.0.0.1:0', function(c, ev, data)
  if ev == mg.EV_ACCEPT then c:tls_init { cert = cert, key = key } end
  handler(c, ev, data)
end)
m:drain_on_signal(15)
print(http:port(), https:port())
io.stdout:flush()
m:run()
m:close()
