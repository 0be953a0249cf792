-- Admit a job, or say why not; then have it wait in its account's line, from which it goes on at once if the model
-- has room (hops 2 and 3). Begins with lines.lua.
-- ARGV  1 the request, JSON: id, model, tier {name, priority, weight, reserved}, account, deadline, ttl (seconds to
--         keep the records), bound (of jobs of the tier that wait), units, images,
--         scopes [[scope, concurrent, [[seconds, requests, units, images], …]], …]; no limit is a negative number;
--         apart (not among the open jobs); letter: if given, of the list of those given up, whose place the job
--         takes
--       2… the record's fields and values
-- →     JSON: {refusal, waiting, windows [[scope, seconds, resets in, requests, units, images], …], running}
--       refusal: "" if admitted (again, if the reply was lost), else what is exhausted: "requests", "units",
--       "images" (then with the number of the window in `at`), "concurrent" or "queue"; or "letter": there is no such
--       letter. Of several windows the one that lasts longest; "concurrent" comes first, as the jobs under way may
--       give back much of what they hold, and "queue" last. `running` is of the scope at fault, or else the most.
--       Windows are as they are then.
local asked = cjson.decode(ARGV[1])
local time, key = clock(), 'job:' .. asked.id
local model, tier = asked.model, asked.tier
local windows, counters, scopes, reply = {}, {}, {}, {refusal = '', waiting = 0, running = 0, at = 0}

local function counter(scope, seconds)
    return 'limit:' .. scope .. ':' .. seconds .. ':' .. math.floor(time / seconds)
end

local lasts = -1 -- seconds

local function refuse(why, seconds, at)
    if seconds <= lasts then return false end
    reply.refusal, reply.at, lasts = why, at or 0, seconds
    return true
end

local function weigh(scope, window)
    local seconds, bound = window[1], {window[2], window[3], window[4]}
    local name = counter(scope, seconds)
    local used = redis.call('HMGET', name, 'requests', 'units', 'images')
    for n = 1, 3 do used[n] = tonumber(used[n] or 0) end
    local more, what, resets = {1, asked.units, asked.images}, {'requests', 'units', 'images'}, seconds - time % seconds
    for n = 1, 3 do
        if bound[n] >= 0 and more[n] > 0 and used[n] + more[n] > bound[n] then refuse(what[n], resets, #windows) end
    end
    table.insert(windows, {scope, seconds, resets, used[1], used[2], used[3]})
    table.insert(counters, name)
end

local most = 0
local repeated = redis.call('EXISTS', key) == 1
for _, scope in ipairs(asked.scopes) do
    local running = 'running:' .. scope[1]
    table.insert(scopes, scope[1])
    redis.call('ZREMRANGEBYSCORE', running, '-inf', time - asked.ttl)
    local count = redis.call('ZCARD', running)
    most = math.max(most, count)
    if scope[2] >= 0 and count >= scope[2] and refuse('concurrent', math.huge) then reply.running = count end
    for _, window in ipairs(scope[3]) do weigh(scope[1], window) end
end
reply.waiting = redis.call('ZCARD', of(model, tier.name).waiting)
if reply.waiting >= asked.bound then refuse('queue', 0) end
if reply.refusal ~= 'concurrent' then reply.running = most end

if repeated then
    reply.refusal = ''
elseif reply.refusal == '' and asked.letter and not redis.call('LPOS', 'dead', asked.letter) then
    reply.refusal = 'letter'
end
if reply.refusal == '' and not repeated then
    redis.call('HSET', key, unpack(ARGV, 2))
    redis.call('HSET', key, 'counters', table.concat(counters, ' '), 'scopes', table.concat(scopes, ' '))
    redis.call('EXPIRE', key, asked.ttl)
    if asked.letter then redis.call('LREM', 'dead', 1, asked.letter) end
    for n, name in ipairs(counters) do
        redis.call('HINCRBY', name, 'requests', 1)
        redis.call('HINCRBY', name, 'units', asked.units)
        redis.call('HINCRBY', name, 'images', asked.images)
        keep(name, windows[n][2] + asked.ttl)
        windows[n][4], windows[n][5] = windows[n][4] + 1, windows[n][5] + asked.units
        windows[n][6] = windows[n][6] + asked.images
    end
    for _, scope in ipairs(scopes) do
        redis.call('ZADD', 'running:' .. scope, asked.deadline, asked.id)
        keep('running:' .. scope, asked.ttl)
    end
    if not asked.apart then
        redis.call('ZADD', 'open:' .. model, asked.deadline, asked.id)
        keep('open:' .. model, asked.ttl)
    end
    note(model, tier)
    join(model, tier, asked.account, asked.id, asked.deadline, time, asked.ttl)
    dispatch(model, time, asked.id)
end
reply.windows = #windows > 0 and windows or nil
return cjson.encode(reply)
