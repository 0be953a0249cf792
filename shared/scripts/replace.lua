-- Replace a value, if it is still what it was.
-- KEYS  1 string
-- ARGV  1 the value it has   2 the new one   3 seconds to keep it
-- →     1, or 0 if somebody else was first
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2], 'EX', ARGV[3])
return 1
