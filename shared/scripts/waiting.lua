-- How many jobs wait for a model. Begins with lines.lua.
-- ARGV  1 model
local sum = 0
for _, tier in ipairs(tiers(ARGV[1])) do sum = sum + redis.call('ZCARD', of(ARGV[1], tier.name).waiting) end
return sum
