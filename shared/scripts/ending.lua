-- The end of a job, whoever comes to it: what it held is given back, and its row of the ledger written. Not a script
-- of its own: others begin with lines.lua and it.
--   open:<model>                          zset    ids of jobs that have no end, by deadline
--   running:<scope>                       zset    the same of an account or a key, by deadline
--   limit:<scope>:<seconds>:<window>      hash    requests, units and images of a window of time
--   usage                                 stream  a row of the ledger for every job, until it is in the database

-- What a job has used, as its worker last told: prompt tokens, completion tokens, denoising steps and images.
local function used_by(key)
    local used, told = {}, redis.call('HGET', key, 'used') or '0 0 0 0'
    for count in string.gmatch(told, '%d+') do table.insert(used, tonumber(count)) end
    return used
end

-- `used` is as above. The job's own rates say what it costs.
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

-- End a job that no worker will end: its log gets this chunk, which is told what the job has used.
local function stop(id, state, chunk, time, ttl)
    local key = 'job:' .. id
    local used = used_by(key)
    chunk = string.gsub(chunk, '"usage":%b{}', string.format(
        '"usage":{"prompt_tokens":%d,"completion_tokens":%d,"image_steps":%d,"images":%d}', unpack(used)), 1)
    local number = redis.call('RPUSH', key .. ':log', chunk)
    settle(key, state, used, time, ttl)
    tell(redis.call('HGET', key, 'reply_to'), '["' .. id .. '",' .. number .. ',[' .. chunk .. ']]')
end

-- End a job that is at no worker: one that waits in its line, or in the queue. 1, or 0 if it is no such job. A worker
-- that takes its message afterwards finds the end, and drops it.
local function turn_away(id, state, chunk, time, ttl)
    local job = redis.call('HMGET', 'job:' .. id, 'model', 'tier', 'account', 'state', 'message', 'list')
    if job[4] ~= 'queued' then return 0 end
    if leave(job[1], job[2], job[3], id) == 0 then
        -- The queue is shallow, and must not fill with messages of jobs that came and went.
        for _, list in ipairs({job[6], 'model.' .. job[1]}) do redis.call('LREM', list, 1, job[5]) end
    end
    stop(id, state, chunk, time, ttl)
    return 1
end
