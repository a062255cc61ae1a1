local e, now = arg(), arg()
local was = before()
if was then return was end
local r = call('HMGET', key('endpoint:', e), 'url', 'n')
if not r[1] then return 0 end
for _, m in ipairs(call('ZRANGE', key('open:', e), 0, -1)) do
  put(m, e, call('HGET', key('delivery:', delivery(m, e)), 'state'), 'cancelled', now)
end
for _, pair in ipairs(call('HKEYS', key('wants:', e))) do
  call('ZREM', key('pair:', pair), e)
  call('ZREM', key('lapsing'), e .. ' ' .. pair)
  call('HINCRBY', key('totals'), 'subscriptions', -1)
end
call('ZREM', key('ready'), pad(r[2]) .. e)
call('HDEL', key('urls'), r[1])
call('ZREM', key('endpoints'), e)
call('DEL', key('endpoint:', e), key('wants:', e))
call('HINCRBY', key('totals'), 'endpoints', -1)
if call('EXISTS', key('all:', e)) == 0 then call('DEL', key('totals:', e)) end
return done(1)
