local m, published, kind, keys, body, type, idem = arg(), arg(), arg(), arg(), arg(), arg(), option()
local pairs, extra = list(), list()
local known = idem and call('HGET', key('idempotency'), idem)
if not known and call('EXISTS', key('message:', m)) == 1 then known = m end
if known then
  local r = call('HMGET', key('message:', known), 'all', 'op')
  -- Made again, it finds what it has made itself.
  return { known, r[1], again and r[2] == op and 0 or 1 }
end

local seen, to = {}, {}
local function look(e)
  if seen[e] then return end
  seen[e] = true
  local r = call('HMGET', key('endpoint:', e), 'is', 'n')
  if r[1] == 'active' or r[1] == 'paused' then to[#to + 1] = { e, r[2], tonumber(r[2]) } end
end
for _, pair in ipairs(pairs) do
  for _, e in ipairs(call('ZRANGEBYSCORE', key('pair:', pair), '(' .. published, '+inf')) do look(e) end
end
for _, e in ipairs(extra) do look(e) end

local n = tostring(call('INCR', key('n')))
call('HSET', key('message:', m), 'n', n, 'published', published, 'kind', kind, 'keys', keys, 'body', body,
  'type', type, 'op', op, 'all', 0, 'open', 0)
if idem then
  call('HSET', key('message:', m), 'idem', idem)
  call('HSET', key('idempotency'), idem, m)
  call('ZADD', key('remembered'), published, idem)
end
-- By the latest time so far: the order of acceptance, even where a clock was set back, and still a time to begin from.
local latest = call('GET', key('latest'))
if not latest or tonumber(latest) < tonumber(published) then
  latest = published
  call('SET', key('latest'), latest)
end
call('ZADD', key('messages'), latest, pad(n) .. m)
call('ZADD', key('published'), published, m)
call('HINCRBY', key('totals'), 'messages', 1)
for _, it in ipairs(to) do
  add(m, it[1], it[2], published)
  touch(it[1])
end
return { m, #to, 0 }
