-- Look after a model: end the jobs whose time is over, and those that have waited long enough for a worker, and let
-- others go on. Begins with lines.lua and ending.lua.
-- ARGV  1 model   2 seconds to keep a job's records after its end   3 seconds a worker has to end a job itself after
--         its deadline   4 seconds that a job waits for a worker   5 the end of a job whose time is over
--       6 the end of one for which there is no worker: chunks
-- →     how many jobs were ended
local MOST = 200 -- of each tier in one call
local model, ttl, time = ARGV[1], ARGV[2], clock()
local ended = 0

local function overdue(key, till)
    return redis.call('ZRANGE', key, '-inf', till, 'BYSCORE', 'LIMIT', 0, MOST)
end

local function forget(id, key)
    redis.call('ZREM', key, id)
    redis.call('ZREM', 'open:' .. model, id)
end

-- One that a worker had to end.
local function give_up(id, dispatched)
    local state = redis.call('HGET', 'job:' .. id, 'state')
    if state == 'queued' or state == 'running' then
        stop(id, 'failed', ARGV[5], time, ttl)
        ended = ended + 1
    else
        forget(id, dispatched)
    end
end

-- One that has never been at a worker, if it has waited for long enough.
local function dismiss(id, since)
    local job = redis.call('HMGET', 'job:' .. id, 'created', 'attempt')
    local waits = job[2] == '0' and time - math.max(tonumber(job[1]), since) > tonumber(ARGV[4])
    if waits and turn_away(id, 'failed', ARGV[6], time, ttl) == 1 then
        -- Nothing was done: sent again with its Idempotency-Key, its request is a new job.
        redis.call('HSET', 'job:' .. id, 'cancelled', 'left')
        ended = ended + 1
    end
end

-- Since when no worker has been ready: before that, who waits waited for its turn.
local cold, since = capacity(model, time) == 0, time
if not cold then
    redis.call('HDEL', 'fair:' .. model, 'cold')
elseif redis.call('EXISTS', 'fair:' .. model) == 1 then
    redis.call('HSETNX', 'fair:' .. model, 'cold', time)
    since = tonumber(redis.call('HGET', 'fair:' .. model, 'cold'))
end
for _, tier in ipairs(tiers(model)) do
    local keys = of(model, tier.name)
    for _, id in ipairs(overdue(keys.waiting, time)) do
        if turn_away(id, 'failed', ARGV[5], time, ttl) == 1 then
            ended = ended + 1
        elseif redis.call('EXISTS', 'job:' .. id) == 0 then
            -- Its record has expired, as nobody looked after it for long: its line forgets it when its turn comes.
            forget(id, keys.waiting)
        end
    end
    for _, id in ipairs(overdue(keys.dispatched, time - ARGV[3])) do give_up(id, keys.dispatched) end
    if cold then
        for _, key in ipairs({keys.waiting, keys.dispatched}) do
            for _, id in ipairs(overdue(key, '+inf')) do dismiss(id, since) end
        end
    end
end
dispatch(model, time)
return ended
