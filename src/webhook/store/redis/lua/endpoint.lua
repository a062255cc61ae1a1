local id, url = option(), option()
local e = id or call('HGET', key('urls'), url)
return e and endpoint_row(e)
