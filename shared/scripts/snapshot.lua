-- The lines before a model as they are now. Begins with lines.lua.
-- ARGV  1 model
-- →     JSON: {capacity, cold (seconds for which no worker has been ready, as far as was noticed), tiers [{name,
--       priority, weight, reserved, credit, dispatched, pace (jobs a second; 0 if it is not known), accounts [[account,
--       virtual time of its next start, [id, …]], …]}, …]}; what the order depends on is text, which has all digits
local model, time = ARGV[1], clock()
local found = {capacity = capacity(model, time), cold = 0, tiers = {}}
if found.capacity == 0 then found.cold = time - (redis.call('HGET', 'fair:' .. model, 'cold') or time) end
for _, tier in ipairs(tiers(model)) do
    local keys, accounts = of(model, tier.name), {}
    local known = redis.call('HMGET', 'fair:' .. model, 'busy:' .. tier.name, 'served:' .. tier.name,
        'credit:' .. tier.name)
    local ring = redis.call('ZRANGE', keys.ring, 0, -1, 'WITHSCORES')
    for n = 1, #ring, 2 do
        table.insert(accounts, {ring[n], ring[n + 1], redis.call('ZRANGE', keys.line(ring[n]), 0, -1)})
    end
    local busy = tonumber(known[1] or 0)
    table.insert(found.tiers, {
        name = tier.name,
        priority = tier.priority,
        weight = tier.weight,
        reserved = string.format('%.17g', tier.reserved),
        credit = tier.reserved > 0 and known[3] or '0',
        dispatched = redis.call('ZCARD', keys.dispatched),
        pace = busy > 0 and known[2] / busy or 0,
        accounts = #accounts > 0 and accounts or nil,
    })
end
if #found.tiers == 0 then found.tiers = nil end
return cjson.encode(found)
