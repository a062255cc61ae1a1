local now, seen, found = arg(), {}, {}
for _, pair in ipairs(list()) do
  for _, e in ipairs(call('ZRANGEBYSCORE', key('pair:', pair), '(' .. now, '+inf')) do
    if not seen[e] then
      seen[e] = true
      found[#found + 1] = { tonumber(call('HGET', key('endpoint:', e), 'n')), e }
    end
  end
end
table.sort(found, function(a, b) return a[1] < b[1] end)
local rows = {}
for i, it in ipairs(found) do rows[i] = endpoint_row(it[2]) end
return rows
