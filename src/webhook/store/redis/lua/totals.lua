local e = option()
local at = e and key('totals:', e) or key('totals')
local r = call('HMGET', at, 'endpoints', 'subscriptions', 'messages', 'pending', 'in_flight', 'delivered', 'dead')
local oldest, next
if e then
  local n = call('HGET', key('endpoint:', e), 'n')
  r[1] = n and '1' or '0'
  r[2], r[3] = tostring(call('HLEN', key('wants:', e))), tostring(call('ZCARD', key('all:', e)))
  -- The first may be younger than a later one only where it was recovered.
  for _, m in ipairs(call('ZRANGE', key('open:', e), 0, 999)) do
    local created = call('HGET', key('delivery:', delivery(m, e)), 'created')
    if not oldest or tonumber(created) < tonumber(oldest) then oldest = created end
  end
  next = n and call('ZSCORE', key('ready'), pad(n) .. e)
else
  oldest = call('ZRANGE', key('oldest'), 0, 0, 'WITHSCORES')[2]
  next = call('ZRANGE', key('ready'), 0, 0, 'WITHSCORES')[2]
end
for i = 1, 7 do r[i] = r[i] or '0' end
return { r[1], r[2], r[3], r[4], r[5], r[6], r[7], oldest or false, next or false }
