local d, now = arg(), arg()
local was = before()
if was then return was end
local r = call('HMGET', key('delivery:', d), 'm', 'e', 'state')
if not r[1] or UNFINISHED[r[3]] or call('EXISTS', key('endpoint:', r[2])) == 0 then return 0 end
call('HSET', key('delivery:', d), 'attempts', 0)
put(r[1], r[2], r[3], 'pending', now)
touch(r[2])
return done(1)
