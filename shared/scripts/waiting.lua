-- How many jobs wait for a model: in its lines, and for a worker to take them from its queue. Begins with lines.lua.
-- KEYS  the lists of its queue
-- ARGV  1 model
local sum = 0
for _, list in ipairs(KEYS) do sum = sum + redis.call('LLEN', list) end
for _, tier in ipairs(tiers(ARGV[1])) do sum = sum + redis.call('ZCARD', of(ARGV[1], tier.name).waiting) end
return sum
