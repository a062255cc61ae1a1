-- Publishes a batch: all of it, or if this very batch has been published before, nothing. Returns the messages' ids, or
-- `!` and why not, one a line.
--
-- KEYS: the state, the writer's last batch, then the stream of each message, which is its channel too
-- ARGV: the server's run id, how many entries a stream keeps, and for how many ms; the batch's number; each message

local before = redis.call('GET', KEYS[2])
if before then
    local number, ids = string.match(before, '^(%d+)\n(.*)$')
    if number == ARGV[4] then
        return ids
    end
end

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local text = function(number) return string.format('%.0f', number) end

-- A server that was restarted may have lost messages that somebody has seen. What comes now has another epoch, so that no
-- id ever means two messages.
local state = redis.call('HMGET', KEYS[1], 'run', 'epoch')
local epoch = tonumber(state[2] or '0')
if state[1] ~= ARGV[1] then
    epoch = math.max(now, epoch + 1)
    redis.call('HSET', KEYS[1], 'run', ARGV[1], 'epoch', text(epoch))
end

local publish = function(stream, data)
    local last = redis.pcall('XREVRANGE', stream, '+', '-', 'COUNT', 1)
    if last.err then
        return '!' .. last.err
    end
    local of, seq = epoch, 0
    if last[1] then
        local last_of, last_seq = string.match(last[1][1], '^(%d+)-(%d+)$')
        of, seq = math.max(epoch, tonumber(last_of)), tonumber(last_seq)
    elseif now >= epoch then
        of = now
    else
        -- The clock went back: an epoch that no stream before this one can have had.
        epoch = epoch + 1
        of = epoch
        redis.call('HSET', KEYS[1], 'epoch', text(epoch))
    end
    local id = text(of) .. '-' .. text(seq + 1)
    local added = redis.pcall('XADD', stream, 'MAXLEN', '~', ARGV[2], id, 'd', data)
    if type(added) == 'table' and added.err then
        return '!' .. added.err
    end
    redis.call('PEXPIRE', stream, ARGV[3])
    redis.call('PUBLISH', stream, id .. ' ' .. data)
    return id
end

local ids = {}
for i = 3, #KEYS do
    ids[#ids + 1] = string.gsub(publish(KEYS[i], ARGV[i + 2]), '\n', ' ')
end
ids = table.concat(ids, '\n')
redis.call('SET', KEYS[2], ARGV[4] .. '\n' .. ids, 'PX', 600000)
return ids
