local after, limit, start = option(), tonumber(arg()), 0
if after then
  local rank = call('ZRANK', key('endpoints'), after)
  if not rank then return {} end
  start = rank + 1
end
local rows = {}
if limit > 0 then
  for _, e in ipairs(call('ZRANGE', key('endpoints'), start, start + limit - 1)) do rows[#rows + 1] = endpoint_row(e) end
end
return rows
