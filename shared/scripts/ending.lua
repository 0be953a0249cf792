-- The end of a job, whoever comes to it: what it held is given back, and its row of the ledger written. Not a script
-- of its own: others begin with lines.lua and it.
--   open:<model>                          zset    ids of jobs that have no end, by deadline
--   running:<scope>                       zset    the same of an account or a key, by deadline
--   limit:<scope>:<seconds>:<window>      hash    requests, units and images of a window of time
--   usage                                 stream  a row of the ledger for every job, until it is in the database

-- `used` is prompt tokens, completion tokens, denoising steps and images. The job's own rates say what they cost.
local function settle(key, state, used, time, ttl)
    local job = redis.call('HMGET', key, 'id', 'model', 'tier', 'account', 'key', 'kind', 'created', 'begun', 'first',
        'rates', 'units', 'images', 'counters', 'scopes')
    local id, model, tier = job[1], job[2], job[3]
    local prompt, completion, step = string.match(job[10], '(%d+) (%d+) (%d+)')
    local units = used[1] * prompt + used[2] * completion + used[3] * step
    for counter in string.gmatch(job[13], '%S+') do
        if redis.call('EXISTS', counter) == 1 then
            redis.call('HINCRBY', counter, 'units', units - job[11])
            redis.call('HINCRBY', counter, 'images', used[4] - job[12])
        end
    end
    for scope in string.gmatch(job[14], '%S+') do redis.call('ZREM', 'running:' .. scope, id) end
    redis.call('ZREM', of(model, tier).dispatched, id)
    redis.call('ZREM', 'open:' .. model, id)
    redis.call('HSET', key, 'state', state)
    redis.call('HDEL', key, 'message')
    redis.call('EXPIRE', key, ttl)
    redis.call('EXPIRE', key .. ':log', ttl)
    redis.call('XADD', 'usage', '*', 'job', id, 'account', job[4], 'key', job[5], 'model', model, 'tier', tier,
        'kind', job[6], 'state', state, 'prompt_tokens', used[1], 'completion_tokens', used[2],
        'image_steps', used[3], 'images', used[4], 'units', units, 'created', job[7], 'begun', job[8] or '',
        'first', job[9] or '', 'ended', string.format('%.6f', time))
end

local function tell(reply_to, frame)
    for gateway in string.gmatch(reply_to, '%S+') do redis.call('PUBLISH', 'gw:' .. gateway, frame) end
end

-- End a job that waits in its line: 1, or 0 if it does not. Its log has nothing but this end.
local function turn_away(id, state, chunk, time, ttl)
    local key = 'job:' .. id
    local job = redis.call('HMGET', key, 'model', 'tier', 'account', 'reply_to')
    if not job[1] or leave(job[1], job[2], job[3], id) == 0 then return 0 end
    redis.call('RPUSH', key .. ':log', chunk)
    settle(key, state, {0, 0, 0, 0}, time, ttl)
    tell(job[4], '["' .. id .. '",1,[' .. chunk .. ']]')
    return 1
end
