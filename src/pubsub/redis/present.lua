-- Who is there.
--
-- KEYS: of each topic the hash, of a count and a time by instance, and the stream
-- ARGV: how long an entry of the hash holds, in ms; this instance. Then how long a stream is kept, and this instance's count
-- of each topic; or nothing, to ask how many the others have in all.

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local others = 0
for i = 1, #KEYS / 2 do
    local hash, mine = KEYS[2 * i - 1], ARGV[i + 3]
    if mine == '0' then
        redis.call('HDEL', hash, ARGV[2])
    elseif mine then
        redis.call('HSET', hash, ARGV[2], mine .. ' ' .. string.format('%.0f', now))
        redis.call('PEXPIRE', hash, ARGV[1])
        -- What somebody listens to does not end because nobody speaks.
        redis.call('PEXPIRE', KEYS[2 * i], ARGV[3])
    else
        local all = redis.call('HGETALL', hash)
        for j = 1, #all, 2 do
            local count, at = string.match(all[j + 1], '^(%d+) (%d+)$')
            if all[j] ~= ARGV[2] and count and now - tonumber(at) < tonumber(ARGV[1]) then
                others = others + tonumber(count)
            end
        end
    end
end
return others
