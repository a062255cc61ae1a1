local since, after, limit, start = arg(), option(), tonumber(arg()), 0
if after then
  local n = call('HGET', key('message:', after), 'n')
  local rank = n and call('ZRANK', key('messages'), pad(n) .. after)
  if not rank then return {} end
  start = rank + 1
end
start = math.max(start, call('ZCOUNT', key('messages'), '-inf', '(' .. since))
local rows = {}
while #rows < limit do
  local some = call('ZRANGE', key('messages'), start, start + 99)
  for _, it in ipairs(some) do
    local row = message_row(string.sub(it, 17))
    if #rows < limit and tonumber(row[2]) >= tonumber(since) then rows[#rows + 1] = row end
  end
  if #some < 100 then break end
  start = start + 100
end
return rows
