local e, pairs, gone = arg(), list(), 0
local was = before()
if was then return was end
for _, pair in ipairs(pairs) do
  if call('HDEL', key('wants:', e), pair) == 1 then
    gone = gone + 1
    call('ZREM', key('pair:', pair), e)
    call('ZREM', key('lapsing'), e .. ' ' .. pair)
  end
end
if gone > 0 then call('HINCRBY', key('totals'), 'subscriptions', -gone) end
return done(gone)
