local e, now, expires, pairs = arg(), arg(), option(), list()
if call('EXISTS', key('endpoint:', e)) == 0 then return 0 end
for _, pair in ipairs(pairs) do
  if call('HSET', key('wants:', e), pair, now .. ' ' .. (expires or '')) == 1 then
    call('HINCRBY', key('totals'), 'subscriptions', 1)
  end
  call('ZADD', key('pair:', pair), expires or '+inf', e)
  if expires then
    call('ZADD', key('lapsing'), expires, e .. ' ' .. pair)
  else
    call('ZREM', key('lapsing'), e .. ' ' .. pair)
  end
end
return 1
