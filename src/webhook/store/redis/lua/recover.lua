-- Looks at 500 messages, after `walked`. Returns how many deliveries it made pending, and the last message it looked at, if there may
-- be more.
local e, since, now, walked = arg(), arg(), arg(), option()
local was = before()
if was then return was end
local number = call('HGET', key('endpoint:', e), 'n')
if not number then return { 0 } end
local start = call('ZCOUNT', key('messages'), '-inf', '(' .. since)
if walked then
  local n = call('HGET', key('message:', walked), 'n')
  start = n and call('ZRANK', key('messages'), pad(n) .. walked) + 1 or start
end
local wants = {}
local all = call('HGETALL', key('wants:', e))
for i = 1, #all, 2 do
  local expires = string.match(all[i + 1], ' (%d+)$')
  if not expires or tonumber(expires) > tonumber(now) then
    local pair = cjson.decode(all[i])
    wants[pair[1]] = wants[pair[1]] or {}
    wants[pair[1]][pair[2]] = true
  end
end
local function wanted(keys)
  for name, values in pairs(cjson.decode(keys)) do
    for _, value in ipairs(values) do
      if wants[name] and wants[name][value] then return true end
    end
  end
end
local made, last = 0, nil
local some = call('ZRANGE', key('messages'), start, start + 499)
for _, it in ipairs(some) do
  local m = string.sub(it, 17)
  local r = call('HMGET', key('message:', m), 'published', 'keys')
  if tonumber(r[1]) >= tonumber(since) then
    local d = delivery(m, e)
    local state = call('HGET', key('delivery:', d), 'state')
    if state == 'dead' then
      call('HSET', key('delivery:', d), 'attempts', 0)
      put(m, e, 'dead', 'pending', now)
      made = made + 1
    elseif not state and wanted(r[2]) then
      add(m, e, number, now)
      made = made + 1
    end
  end
  last = m
end
touch(e)
return done({ made, #some == 500 and last or nil })
