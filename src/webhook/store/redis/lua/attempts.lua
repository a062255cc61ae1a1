return call('LRANGE', key('attempts:', arg()), 0, -1)
