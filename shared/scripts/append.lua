-- Append chunks to the logs of many jobs of a model, and publish them: one message a gateway (hop 6). Jobs that end
-- are settled, and make room for others. Begins with lines.lua and ending.lua.
-- KEYS  a pair for each job: job hash, job log
-- ARGV  1 seconds to keep a job's records after its end   2 worker id   3 model, then for each job:
--         attempt, number of the first chunk, end state ('' while it runs), what was used so far, n, chunk 1 … chunk n
-- →     a verdict a job:
--       ok         written, and published
--       cancelled  written, but the client has gone: stop the engine
--       fenced     refused: the attempt is over, somebody else has the job or it has ended. The worker counts, too:
--                  a Redis that lost the beginning of an attempt gives its number again
--       lost       refused: Redis has no record of the job
--       behind:<n> refused: the log ends at n, before the first chunk given (Redis lost its tail)
-- A call that is repeated because its reply was lost writes nothing twice: numbers decide.
local verdicts, frames, at, time, ended = {}, {}, 4, clock(), false

local function push(log, chunks, from)
    for first = from, #chunks, 500 do
        redis.call('RPUSH', log, unpack(chunks, first, math.min(first + 499, #chunks)))
    end
end

local function append(job, log, item)
    local chunks, first = item.chunks, item.first
    local held = redis.call('HMGET', job, 'attempt', 'state', 'reply_to', 'id', 'cancelled', 'worker',
        'rates', 'streams')
    if not held[1] or not held[7] then return 'lost' end
    local length = redis.call('LLEN', log)
    local repeated = length - (first - 1)
    if held[1] ~= item.attempt or held[6] ~= ARGV[2] then return 'fenced' end
    if held[2] ~= 'running' then return repeated == #chunks and 'ok' or 'fenced' end
    if repeated < 0 then return 'behind:' .. length end

    push(log, chunks, repeated + 1)
    redis.call('HSET', job, 'used', item.used)
    -- A whole answer comes at once: it has no first chunk that anybody would wait for.
    if length == 0 and held[8] == '1' and (item.state == '' or #chunks > 1) then
        redis.call('HSETNX', job, 'first', string.format('%.6f', time))
    end
    if item.state ~= '' then
        settle(job, item.state, used_by(job), time, ARGV[1])
        ended = true
    elseif length == 0 then
        redis.call('EXPIRE', log, redis.call('TTL', job))
    end

    local frame = '["' .. held[4] .. '",' .. first .. ',[' .. table.concat(chunks, ',') .. ']]'
    for gateway in string.gmatch(held[3], '%S+') do
        local channel = 'gw:' .. gateway
        frames[channel] = frames[channel] or {}
        table.insert(frames[channel], frame)
    end
    return held[5] and item.state == '' and 'cancelled' or 'ok'
end

for pair = 1, #KEYS, 2 do
    local item = {attempt = ARGV[at], first = tonumber(ARGV[at + 1]), state = ARGV[at + 2], used = ARGV[at + 3]}
    local count = tonumber(ARGV[at + 4])
    item.chunks = {unpack(ARGV, at + 5, at + 4 + count)}
    at = at + 5 + count
    table.insert(verdicts, append(KEYS[pair], KEYS[pair + 1], item))
end
for channel, lines in pairs(frames) do
    redis.call('PUBLISH', channel, table.concat(lines, '\n'))
end
if ended then dispatch(ARGV[3], time) end
return verdicts
