-- One client of each kind. usage: luajit client.lua HTTP_URL HTTPS_URL CA WS_URL MQTT_URL
local mg = require 'mongoose'

local f = assert(io.open(arg[3]))
local ca = f:read '*a'
f:close()

mg.log_level(1)
local m = mg.manager()
local left = 4

local function done(kind, text)
  print(kind .. ' ' .. text)
  left = left - 1
end
local function watched(handler)
  return function(c, ev, data)
    if ev == mg.EV_ERROR then error(data) end
    handler(c, ev, data)
  end
end
local function http(kind)
  return watched(function(c, ev, data)
    if ev == mg.EV_HTTP_MSG then
      done(kind, data.status .. ' ' .. data.body)
      c:close()
    end
  end)
end

local request = 'GET /hello HTTP/1.1\r\nHost: localhost\r\n\r\n'
m:connect(arg[1], http 'http'):send(request)
local secure = m:connect(arg[2], http 'https')
secure:tls_init { ca = ca, name = 'localhost' }
secure:send(request)
m:ws_connect(arg[4], watched(function(c, ev, data)
  if ev == mg.EV_WS_OPEN then c:ws_send 'ping' end
  if ev == mg.EV_WS_MSG then
    done('ws', data.data)
    c:ws_close()
  end
end))
m:mqtt_connect(arg[5], watched(function(c, ev, data)
  if ev == mg.EV_MQTT_OPEN then
    c:mqtt_subscribe('bindings/test', 1)
    c:mqtt_publish('bindings/test', 'payload', 1)
  end
  if ev == mg.EV_MQTT_MSG then
    done('mqtt', data.topic .. ' ' .. data.data)
    c:drain()
  end
end), { client_id = 'lua-binding' })
m:timer(20000, function() error 'time is up' end)
while left > 0 do m:poll() end
m:close()
