local e = arg()
local state, is, ended, keys, settings, ordered = option(), option(), option(), option(), option(), option()
local failures, since, success = option(), option(), option()
local at = key('endpoint:', e)
if call('EXISTS', at) == 0 then return 0 end
if keys then call('HSET', at, 'keys', keys) end
if settings then call('HSET', at, 'settings', settings, 'ordered', ordered) end
if failures then
  call('HSET', at, 'failures', failures)
  call('HDEL', at, 'since', 'success')
  if since then call('HSET', at, 'since', since) end
  if success then call('HSET', at, 'success', success) end
end
if state then call('HSET', at, 'state', state, 'is', is) end
if is == 'disabled' then
  for _, m in ipairs(call('ZRANGE', key('open:', e), 0, -1)) do
    if call('HGET', key('delivery:', delivery(m, e)), 'state') == 'pending' then put(m, e, 'pending', 'dead', ended) end
  end
end
touch(e)
return 1
