-- At most a thousand; the caller asks again until there are fewer.
local old = call('ZRANGEBYSCORE', key('remembered'), '-inf', '(' .. arg(), 'LIMIT', 0, 1000)
for _, idem in ipairs(old) do
  call('HDEL', key('message:', call('HGET', key('idempotency'), idem)), 'idem')
  call('HDEL', key('idempotency'), idem)
  call('ZREM', key('remembered'), idem)
end
return #old
