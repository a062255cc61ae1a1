-- At most a thousand; the caller asks again until there are fewer.
local now = arg()
local was = before()
if was then return was end
local gone = call('ZRANGEBYSCORE', key('lapsing'), '-inf', now, 'LIMIT', 0, 1000)
for _, it in ipairs(gone) do
  local e, pair = string.match(it, '^(%S+) (.*)$')
  call('ZREM', key('lapsing'), it)
  call('HDEL', key('wants:', e), pair)
  call('ZREM', key('pair:', pair), e)
  call('HINCRBY', key('totals'), 'subscriptions', -1)
end
return done(#gone)
