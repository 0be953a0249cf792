-- Jobs that have no end, and no message either (hop 3). Only ids cross the wire: messages have the jobs' bodies.
-- KEYS  1 jobs of the model that have no end   2 its lease's hash   3… the lists of its queue
-- ARGV  1 the latest deadline (Unix seconds) of those that are looked at
-- →     their ids
local PAGE = 32 -- messages read at a time
local MARK = '"correlation_id": "' -- what Celery has the job's id after; the body, which comes first, is in base64
local missing, count = {}, 0

local function found(message)
    local at = string.find(message, MARK, 1, true)
    local id = at and string.match(message, '^[^"]+', at + #MARK)
    if id and missing[id] then
        missing[id] = nil
        count = count - 1
    end
end

for _, id in ipairs(redis.call('ZRANGE', KEYS[1], '-inf', ARGV[1], 'BYSCORE')) do
    missing[id] = true
    count = count + 1
end
-- Most are in the hands of workers. The queue, which may be long, is read only as far as it must be.
for _, tag in ipairs(count > 0 and redis.call('HKEYS', KEYS[2]) or {}) do
    if count == 0 then break end
    found(redis.call('HGET', KEYS[2], tag))
end
for list = 3, #KEYS do
    for first = 0, redis.call('LLEN', KEYS[list]) - 1, PAGE do
        if count == 0 then break end
        for _, message in ipairs(redis.call('LRANGE', KEYS[list], first, first + PAGE - 1)) do found(message) end
    end
end

local ids = {}
for id in pairs(missing) do table.insert(ids, id) end
return ids
