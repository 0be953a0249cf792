-- Jobs that were dispatched, have no end, and no message either (hop 3). Only ids cross the wire: messages have the
-- jobs' bodies. Begins with lines.lua.
-- KEYS  1 the model's lease's hash   2… the lists of its queue
-- ARGV  1 model   2 the latest deadline (Unix seconds) of those that are looked at
-- →     their ids
local PAGE = 32 -- messages read at a time
local MARK = '"correlation_id":%s*"' -- what has the job's id after it; the body, of which a client decides, is in base64
local missing, count = {}, 0

local function found(message)
    local id = string.match(message, MARK .. '([^"]+)')
    if id and missing[id] then
        missing[id] = nil
        count = count - 1
    end
end

-- Whether the message with which a job was begun last is in the hands of a worker: as a rule it is, and none is read.
local function held(id)
    local tag = redis.call('HGET', 'job:' .. id, 'tag')
    return tag and redis.call('HEXISTS', KEYS[1], tag) == 1
end

for _, tier in ipairs(tiers(ARGV[1])) do
    for _, id in ipairs(redis.call('ZRANGE', of(ARGV[1], tier.name).dispatched, '-inf', ARGV[2], 'BYSCORE')) do
        if not held(id) then
            missing[id] = true
            count = count + 1
        end
    end
end
-- Messages are read only as far as they must be.
for _, tag in ipairs(count > 0 and redis.call('HKEYS', KEYS[1]) or {}) do
    if count == 0 then break end
    found(redis.call('HGET', KEYS[1], tag))
end
for list = 2, #KEYS do
    for first = 0, redis.call('LLEN', KEYS[list]) - 1, PAGE do
        if count == 0 then break end
        for _, message in ipairs(redis.call('LRANGE', KEYS[list], first, first + PAGE - 1)) do found(message) end
    end
end

local ids = {}
for id in pairs(missing) do table.insert(ids, id) end
return ids
