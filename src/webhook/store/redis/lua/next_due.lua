return call('ZRANGE', key('ready'), 0, 0, 'WITHSCORES')[2] or false
