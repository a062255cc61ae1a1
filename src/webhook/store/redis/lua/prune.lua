-- Looks at a hundred messages, after so many that had to stay. Returns how many went and how many stayed.
local was = before()
if was then return was end
local old = call('ZRANGEBYSCORE', key('published'), '-inf', '(' .. arg(), 'LIMIT', arg(), 100)
local gone = 0
for _, m in ipairs(old) do
  local r = call('HMGET', key('message:', m), 'open', 'n', 'idem')
  if tonumber(r[1]) == 0 then
    gone = gone + 1
    for _, e in ipairs(call('ZRANGE', key('to:', m), 0, -1)) do
      local d = delivery(m, e)
      local state = call('HGET', key('delivery:', d), 'state')
      count(e, state, -1)
      if state == 'dead' then
        call('ZREM', key('dead:', e), m)
        call('ZREM', key('dead'), pad(call('ZSCORE', key('to:', m), e)) .. d)
      end
      call('ZREM', key('all:', e), m)
      call('DEL', key('delivery:', d), key('attempts:', d))
      if call('EXISTS', key('endpoint:', e), key('all:', e)) == 0 then call('DEL', key('totals:', e)) end
    end
    if r[3] then
      call('HDEL', key('idempotency'), r[3])
      call('ZREM', key('remembered'), r[3])
    end
    call('DEL', key('message:', m), key('to:', m))
    call('ZREM', key('messages'), pad(r[2]) .. m)
    call('ZREM', key('published'), m)
    call('HINCRBY', key('totals'), 'messages', -1)
  end
end
return done({ gone, #old - gone })
