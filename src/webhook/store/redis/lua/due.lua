local now, except, limit = arg(), list(), tonumber(arg())
local not_these, found = {}, {}
for _, e in ipairs(except) do not_these[e] = true end
local some = limit > 0 and call('ZRANGEBYSCORE', key('ready'), '-inf', now, 'LIMIT', 0, limit + #except) or {}
for _, it in ipairs(some) do
  local e = string.sub(it, 17)
  if not not_these[e] and #found < limit then found[#found + 1] = e end
end
return found
