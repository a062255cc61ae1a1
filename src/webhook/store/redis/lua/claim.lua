local e, now, lapses, limit = arg(), arg(), arg(), tonumber(arg())
local r = call('HMGET', key('endpoint:', e), 'is', 'ordered')
local mine, rows = {}, {}
if again then
  -- What it has claimed itself, if its answer was lost.
  for _, m in ipairs(call('ZRANGE', key('open:', e), 0, -1)) do
    local d = call('HMGET', key('delivery:', delivery(m, e)), 'state', 'by')
    if d[1] == 'in_flight' and d[2] == op then mine[#mine + 1] = m end
  end
end
if #mine == 0 and r[1] == 'active' and limit > 0 then
  if r[2] == '1' then
    local first = call('ZRANGE', key('open:', e), 0, 0)[1]
    local due = first and call('HGET', key('delivery:', delivery(first, e)), 'due')
    if due and tonumber(due) <= tonumber(now) then mine[1] = first end
  else
    for i, it in ipairs(call('ZRANGEBYSCORE', key('queue:', e), '-inf', now, 'LIMIT', 0, limit)) do
      mine[i] = string.sub(it, 17)
    end
  end
  for _, m in ipairs(mine) do
    local at = key('delivery:', delivery(m, e))
    put(m, e, call('HGET', at, 'state'), 'in_flight', lapses)
    call('HSET', at, 'by', op)
  end
  touch(e)
end
for i, m in ipairs(mine) do rows[i] = { delivery_row(delivery(m, e)), message_row(m) } end
return { endpoint_row(e), rows }
