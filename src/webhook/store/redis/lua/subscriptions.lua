local flat, rows = call('HGETALL', key('wants:', arg())), {}
for i = 1, #flat, 2 do rows[#rows + 1] = { flat[i], flat[i + 1] } end
return rows
