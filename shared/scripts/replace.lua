-- Replace a value, or delete it, if it is still what it was.
-- KEYS  1 string
-- ARGV  1 the value it has   2 the new one   3 seconds to keep it; without these two it is deleted
-- →     1, or 0 if somebody else was first
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
if ARGV[2] then
    redis.call('SET', KEYS[1], ARGV[2], 'EX', ARGV[3])
else
    redis.call('DEL', KEYS[1])
end
return 1
