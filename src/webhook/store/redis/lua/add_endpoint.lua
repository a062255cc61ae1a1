local e, url, created, state, is, keys, settings, ordered = arg(), arg(), arg(), arg(), arg(), arg(), arg(), arg()
local failures, since, success = arg(), option(), option()
local was = call('HGET', key('urls'), url)
-- Made again, it finds what it has made itself.
if was then return { again and was == e and 1 or 0, endpoint_row(was) } end
if call('EXISTS', key('endpoint:', e)) == 1 then return redis.error_reply('TAKEN its id is another one\'s') end
local n = tostring(call('INCR', key('n')))
local at = key('endpoint:', e)
call('HSET', at, 'url', url, 'created', created, 'state', state, 'is', is, 'keys', keys, 'settings', settings,
  'ordered', ordered, 'failures', failures, 'n', n)
if since then call('HSET', at, 'since', since) end
if success then call('HSET', at, 'success', success) end
call('HSET', key('urls'), url, e)
call('ZADD', key('endpoints'), n, e)
call('HINCRBY', key('totals'), 'endpoints', 1)
return { 1, endpoint_row(e) }
