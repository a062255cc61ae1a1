local d, attempt, began, to, when = arg(), option(), option(), arg(), arg()
local r = call('HMGET', key('delivery:', d), 'm', 'e', 'state', 'op')
if not r[1] then return false end
local m, e, state = r[1], r[2], r[3]
local at = key('endpoint:', e)
local is = call('HGET', at, 'is')
if r[4] ~= op then
  call('HSET', key('delivery:', d), 'op', op)
  if attempt then
    call('RPUSH', key('attempts:', d), attempt)
    call('HINCRBY', key('delivery:', d), 'attempts', 1)
  end
  -- As `Health::after` has it.
  if is and to == 'delivered' then
    call('HSET', at, 'failures', 0, 'success', when)
    call('HDEL', at, 'since')
  elseif is and attempt then
    call('HINCRBY', at, 'failures', 1)
    call('HSETNX', at, 'since', began)
  end
  if is == 'disabled' and to == 'pending' then to = 'dead' end
  -- Of an endpoint that is gone everything has ended.
  if is and state ~= 'delivered' and state ~= 'cancelled' then
    put(m, e, state, to, when)
    touch(e)
  end
end
return is and call('HMGET', at, 'failures', 'since', 'success')
