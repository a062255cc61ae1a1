-- What all scripts share: names, and how a delivery goes from one state to another. The layout is in ../mod.rs.
-- KEYS[1] is the prefix of every key, ARGV[1] names this call, ARGV[2] is '1' when it is made again.
local call, op, again = redis.call, ARGV[1], ARGV[2] == '1'
local function key(...) return KEYS[1] .. table.concat({...}) end
local function pad(number) return string.rep('0', 16 - #number) .. number end
local UNFINISHED = { pending = true, in_flight = true }

-- The arguments from the third on, one by one; a count comes before each list.
local at = 2
local function arg() at = at + 1 return ARGV[at] end
local function option() if arg() == '1' then return arg() end return nil end
local function list()
  local all = {}
  for i = 1, tonumber(arg()) do all[i] = arg() end
  return all
end

-- What this very call has returned before, if its answer was lost.
local function before()
  local was = again and call('GET', key('op:', op))
  return was and cjson.decode(was)
end
local function done(result)
  call('SET', key('op:', op), cjson.encode(result), 'PX', 120000)
  return result
end

local function delivery(m, e) return m .. '~' .. e end

local function endpoint_row(e)
  local r = call('HMGET', key('endpoint:', e),
    'url', 'created', 'state', 'keys', 'settings', 'failures', 'since', 'success')
  return r[1] and { e, r[1], r[2], r[3], r[4], r[5], r[6], r[7], r[8] }
end

local function message_row(m)
  local r = call('HMGET', key('message:', m), 'published', 'kind', 'keys', 'body', 'type', 'idem')
  return r[1] and { m, r[1], r[2], r[3], r[4], r[5], r[6] }
end

local function delivery_row(d)
  local r = call('HMGET', key('delivery:', d), 'm', 'e', 'state', 'attempts', 'due', 'created')
  return r[1] and { d, r[1], r[2], r[3], r[4], r[5], r[6] }
end

local function count(e, what, by)
  call('HINCRBY', key('totals'), what, by)
  call('HINCRBY', key('totals:', e), what, by)
end

-- Puts an endpoint where `due` finds it: at the time at which it is to be attended to.
local function touch(e)
  local r = call('HMGET', key('endpoint:', e), 'is', 'ordered', 'n')
  if not r[1] then return end
  local due
  if r[1] == 'active' and r[2] == '1' then
    local first = call('ZRANGE', key('open:', e), 0, 0, 'WITHSCORES')
    due = first[1] and call('ZSCORE', key('queue:', e), pad(first[2]) .. first[1])
  elseif r[1] == 'active' then
    due = call('ZRANGE', key('queue:', e), 0, 0, 'WITHSCORES')[2]
  end
  local name = pad(r[3]) .. e
  if due then call('ZADD', key('ready'), due, name) else call('ZREM', key('ready'), name) end
end

-- Moves a delivery on. `from` is its state so far, none if it is new. `touch` comes after the last of an endpoint's.
local function put(m, e, from, to, due)
  local d, n = delivery(m, e), call('HGET', key('message:', m), 'n')
  call('HSET', key('delivery:', d), 'state', to, 'due', due)
  if from ~= to then
    if from then count(e, from, -1) end
    count(e, to, 1)
  end
  if UNFINISHED[to] then
    call('ZADD', key('queue:', e), due, pad(n) .. m)
    if not UNFINISHED[from] then
      call('ZADD', key('open:', e), n, m)
      call('ZADD', key('oldest'), call('HGET', key('delivery:', d), 'created'), d)
      call('HINCRBY', key('message:', m), 'open', 1)
    end
  elseif UNFINISHED[from] then
    call('ZREM', key('queue:', e), pad(n) .. m)
    call('ZREM', key('open:', e), m)
    call('ZREM', key('oldest'), d)
    call('HINCRBY', key('message:', m), 'open', -1)
  end
  if to == 'dead' then
    call('ZADD', key('dead:', e), n, m)
    call('ZADD', key('dead'), n, pad(call('ZSCORE', key('to:', m), e)) .. d)
  elseif from == 'dead' then
    call('ZREM', key('dead:', e), m)
    call('ZREM', key('dead'), pad(call('ZSCORE', key('to:', m), e)) .. d)
  end
end

-- A new delivery. `number` is its endpoint's.
local function add(m, e, number, due)
  call('HSET', key('delivery:', delivery(m, e)), 'm', m, 'e', e, 'attempts', 0, 'created', due)
  call('ZADD', key('to:', m), number, e)
  call('ZADD', key('all:', e), call('HGET', key('message:', m), 'n'), m)
  call('HINCRBY', key('message:', m), 'all', 1)
  put(m, e, nil, 'pending', due)
end

