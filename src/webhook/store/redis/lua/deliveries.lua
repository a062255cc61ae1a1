-- Looks through at most about a thousand, after a delivery, or after a message and all that are of it. Returns what fits,
-- and, if there may be more, where to go on: 'd' or 'm', and its id.
local e, m, state, after, walked, limit = option(), option(), option(), option(), option(), tonumber(arg())
local from
if after then
  local r = call('HMGET', key('delivery:', after), 'm', 'e')
  if not r[1] then return { {} } end
  from = { m = r[1], e = r[2], n = call('HGET', key('message:', r[1]), 'n'), en = call('ZSCORE', key('to:', r[1]), r[2]) }
end
local rows, on = {}, nil
local function look(d)
  local row = delivery_row(d)
  if row and #rows < limit and (not state or row[4] == state) and (not e or row[3] == e) then rows[#rows + 1] = row end
  on = { 'd', d }
end
-- The deliveries of one message, from a place on.
local function of(m, rank)
  for _, to in ipairs(call('ZRANGE', key('to:', m), rank, -1)) do look(delivery(m, to)) end
end

if m then
  local n = call('HGET', key('message:', m), 'n')
  if not n or (from and tonumber(from.n) > tonumber(n)) then return { {} } end
  of(m, from and from.n == n and call('ZRANK', key('to:', m), from.e) + 1 or 0)
  return { rows }
end
if e then
  local of_state = { dead = 'dead:', pending = 'open:', in_flight = 'open:' }
  local index, low = key(of_state[state] or 'all:', e), '-inf'
  if from then
    -- Of the same message, one that was registered before this endpoint comes before it.
    local mine = call('ZSCORE', key('to:', from.m), e)
    low = mine and tonumber(mine) > tonumber(from.en) and from.n or '(' .. from.n
  end
  local some = call('ZRANGEBYSCORE', index, low, '+inf', 'LIMIT', 0, 1000)
  for _, it in ipairs(some) do look(delivery(it, e)) end
  return { rows, #some == 1000 and on or false }
end
if state == 'dead' then
  local some = call('ZRANGEBYSCORE', key('dead'), from and from.n or '-inf', '+inf', 'LIMIT', 0, 1000)
  for _, it in ipairs(some) do
    local d = string.sub(it, 17)
    local new = not from or call('HGET', key('delivery:', d), 'm') ~= from.m
      or tonumber(string.sub(it, 1, 16)) > tonumber(from.en)
    if new then look(d) end
  end
  return { rows, #some == 1000 and on or false }
end
-- Everything, message by message.
local start, seen = 0, 0
if from then
  start = call('ZRANK', key('messages'), pad(from.n) .. from.m) + 1
  of(from.m, call('ZRANK', key('to:', from.m), from.e) + 1)
elseif walked then
  local n = call('HGET', key('message:', walked), 'n')
  if not n then return { {} } end
  start = call('ZRANK', key('messages'), pad(n) .. walked) + 1
end
while #rows < limit and seen < 1000 do
  local some = call('ZRANGE', key('messages'), start, start + 99)
  for _, it in ipairs(some) do
    local m = string.sub(it, 17)
    of(m, 0)
    on = { 'm', m }
  end
  if #some < 100 then return { rows } end
  start, seen = start + 100, seen + 100
end
return { rows, on }
