-- Before a model, every account of a tier has a line of its own for its jobs. This is how they join, leave, and get
-- into the model's queue as its workers have room. Not a script of its own: others begin with it.
--   pool:<model>                     hash   worker → "places until held": how many jobs it takes at once (none if it
--                                           is not ready), how long its word holds (Unix seconds), and how many jobs
--                                           it has in hand though it takes no more
--   fair:<model>                     hash   per tier and per priority, what fairness needs to remember
--   ring:<model>:<tier>              zset   accounts whose lines are not empty, by the virtual time of their next start
--   rested:<model>:<tier>            zset   accounts whose lines became empty, likewise, until that time has come
--   line:<model>:<tier>:<account>    zset   ids of jobs, in the order of their coming
--   waiting:<model>:<tier>           zset   ids of all of these, by deadline
--   dispatched:<model>:<tier>        zset   ids of jobs that are in the queue or at a worker, by deadline
-- Virtual time is that of start-time fair queueing (Goyal, Vin and Cheng, 1996): serving an account of weight w puts
-- its next start 1/w later; who comes back is not served for the time it was away, nor made to pay twice.
local AHEAD = 8 -- one message for so many places of the pool may wait in the queue, so that none stands empty
local MOST_AT_ONCE = 500 -- jobs dispatched in one call; the next call goes on
local MEMORY = 1 / 64 -- the share of the last job in the pace at which a tier is served
local MOST_CREDIT = 2

local function clock()
    local time = redis.call('TIME')
    return time[1] + time[2] / 1e6
end

local function of(model, tier)
    local name = model .. ':' .. tier
    return {
        ring = 'ring:' .. name,
        rested = 'rested:' .. name,
        waiting = 'waiting:' .. name,
        dispatched = 'dispatched:' .. name,
        line = function(account) return 'line:' .. name .. ':' .. account end,
    }
end

local function keep(key, seconds)
    -- Never shorter: another job may have more time than this one.
    redis.call('EXPIRE', key, seconds, 'NX')
    redis.call('EXPIRE', key, seconds, 'GT')
end

-- Tiers that have had jobs here lately: name, priority, weight, reserved share.
local function tiers(model)
    local found, fields = {}, redis.call('HGETALL', 'fair:' .. model)
    for at = 1, #fields, 2 do
        local name = string.match(fields[at], '^tier:(.*)$')
        if name then
            local priority, weight, reserved = string.match(fields[at + 1], '(%S+) (%S+) (%S+)')
            table.insert(found, {
                name = name,
                priority = tonumber(priority),
                weight = tonumber(weight),
                reserved = tonumber(reserved),
            })
        end
    end
    return found
end

-- How many jobs the ready workers take at once, and how many those have in hand that take no more.
local function capacity(model, time)
    local sum, kept = 0, 0
    for _, word in ipairs(redis.call('HVALS', 'pool:' .. model)) do
        local places, till, held = string.match(word, '(%S+) (%S+) ?(%S*)')
        if tonumber(till) > time then
            sum, kept = sum + tonumber(places), kept + (tonumber(held) or 0)
        end
    end
    return sum, kept
end

-- What a tier is now. One whose priority has changed brings its accounts along: its lines keep their order, but the
-- new priority has another time.
local function note(model, tier)
    local keys, fair, field = of(model, tier.name), 'fair:' .. model, 'tier:' .. tier.name
    local known = redis.call('HGET', fair, field)
    local before = known and string.match(known, '%S+')
    local now = string.format('%.17g', tier.priority)
    if before and before ~= now then
        local times = redis.call('HMGET', fair, 'time:' .. before, 'time:' .. now)
        local shift = tonumber(times[2] or 0) - tonumber(times[1] or 0)
        for _, account in ipairs(redis.call('ZRANGE', keys.ring, 0, -1)) do
            redis.call('ZINCRBY', keys.ring, shift, account)
        end
        redis.call('DEL', keys.rested)
    end
    redis.call('HSET', fair, field, string.format('%s %.17g %.17g', now, tier.weight, tier.reserved))
end

local function join(model, tier, account, id, deadline, time, ttl)
    local keys, fair = of(model, tier.name), 'fair:' .. model
    local line = keys.line(account)
    if redis.call('EXISTS', keys.ring) == 0 then redis.call('HSET', fair, 'last:' .. tier.name, time) end
    if not redis.call('ZSCORE', keys.ring, account) then
        local begun = tonumber(redis.call('HGET', fair, 'time:' .. tier.priority) or 0)
        local start = tonumber(redis.call('ZSCORE', keys.rested, account) or 0)
        redis.call('ZADD', keys.ring, math.max(begun, start), account)
        redis.call('ZREM', keys.rested, account)
    end
    redis.call('ZADD', line, redis.call('HINCRBY', fair, 'arrivals', 1), id)
    redis.call('ZADD', keys.waiting, deadline, id)
    for _, key in ipairs({keys.ring, line, keys.waiting, fair}) do keep(key, ttl) end
end

-- An account whose line has become empty rests; its next start comes no sooner for it.
local function rest(keys, account, start, ttl)
    redis.call('ZREM', keys.ring, account)
    redis.call('ZADD', keys.rested, start, account)
    keep(keys.rested, ttl)
end

-- A job leaves its line without having been served: 1, or 0 if it was in none.
local function leave(model, tier, account, id)
    local keys = of(model, tier)
    if redis.call('ZREM', keys.waiting, id) == 0 then return 0 end
    local line = keys.line(account)
    redis.call('ZREM', line, id)
    if redis.call('EXISTS', line) == 0 then
        local start = redis.call('ZSCORE', keys.ring, account)
        if start then rest(keys, account, start, redis.call('TTL', 'fair:' .. model)) end
    end
    return 1
end

-- The tier that is served next, of those that have jobs; the reserved share of one that is left out for long first.
local function first(all)
    local best
    for _, tier in ipairs(all) do
        if tier.head then
            tier.due = tier.credit >= 1
            if not best or (tier.due and not best.due)
                or (tier.due == best.due and (tier.priority < best.priority
                    or (tier.priority == best.priority and tier.start < best.start))) then
                best = tier
            end
        end
    end
    return best
end

local function look(tier)
    local head = redis.call('ZRANGE', tier.keys.ring, 0, 0, 'WITHSCORES')
    tier.head, tier.start = head[1], tonumber(head[2])
end

-- Note that a job which had to wait is served: how many a second are follows from it.
local function pace(fair, tier, time)
    local known = redis.call('HMGET', fair, 'last:' .. tier.name, 'busy:' .. tier.name, 'served:' .. tier.name)
    local last, busy, served = tonumber(known[1] or time), tonumber(known[2] or 0), tonumber(known[3] or 0)
    redis.call('HSET', fair, 'last:' .. tier.name, time,
        'busy:' .. tier.name, busy * (1 - MEMORY) + math.max(0, time - last),
        'served:' .. tier.name, served * (1 - MEMORY) + 1)
end

local function serve(model, tier, time, fresh)
    local keys, fair = tier.keys, 'fair:' .. model
    local account, start = tier.head, tier.start
    local line = keys.line(account)
    local id = redis.call('ZPOPMIN', line)[1]
    local after = start + 1 / tier.weight
    if redis.call('EXISTS', line) == 1 then
        redis.call('ZADD', keys.ring, after, account)
    else
        rest(keys, account, after, redis.call('TTL', fair))
    end
    local now = math.max(start, tonumber(redis.call('HGET', fair, 'time:' .. tier.priority) or 0))
    redis.call('HSET', fair, 'time:' .. tier.priority, now)
    redis.call('ZREMRANGEBYSCORE', keys.rested, '-inf', now)
    look(tier)
    if not id then return false end
    redis.call('ZREM', keys.waiting, id)
    local job = redis.call('HMGET', 'job:' .. id, 'message', 'list', 'deadline')
    if not job[1] then
        redis.call('ZREM', 'open:' .. model, id)
        return false
    end
    -- One whose share is due goes before all priorities in the queue, too, or others would pass it there.
    redis.call('LPUSH', tier.due and 'model.' .. model or job[2], job[1])
    redis.call('ZADD', keys.dispatched, job[3], id)
    keep(keys.dispatched, redis.call('TTL', fair))
    if id ~= fresh then pace(fair, tier, time) end
    return true
end

-- Put as many jobs into the queue as the pool has room for. `fresh` is the id of one that has only just come.
local function dispatch(model, time, fresh)
    local all = tiers(model)
    local places, kept = capacity(model, time)
    local room = places + math.floor(places / AHEAD) + kept
    local fair = 'fair:' .. model
    for _, tier in ipairs(all) do
        tier.keys = of(model, tier.name)
        -- What is left of a share that is none any more counts for nothing.
        local credit = tier.reserved > 0 and redis.call('HGET', fair, 'credit:' .. tier.name)
        tier.credit = tonumber(credit or 0)
        room = room - redis.call('ZCARD', tier.keys.dispatched)
        look(tier)
    end
    local most = math.min(room, MOST_AT_ONCE)
    while most > 0 do
        local tier = first(all)
        if not tier then break end
        if serve(model, tier, time, fresh) then
            most = most - 1
            for _, other in ipairs(all) do
                if other.head or other == tier then
                    other.credit = math.min(MOST_CREDIT, other.credit + other.reserved)
                end
            end
            tier.credit = math.max(0, tier.credit - 1)
        end
    end
    for _, tier in ipairs(all) do
        if tier.reserved > 0 then redis.call('HSET', fair, 'credit:' .. tier.name, tier.credit) end
    end
end
