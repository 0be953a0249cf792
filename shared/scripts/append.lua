-- Append chunks to the logs of many jobs, and publish them: one message a gateway (hop 6).
-- KEYS  1 jobs of the model that have no end, then a pair for each job: job hash, job log
-- ARGV  1 seconds to keep a job's records after its end   2 worker id, then for each job:
--         attempt, number of the first chunk, end state ('' while it runs), n, chunk 1 … chunk n (JSON)
-- →     a verdict a job:
--       ok         written, and published
--       cancelled  written, but the client has gone: stop the engine
--       fenced     refused: the attempt is over, somebody else has the job or it has ended. The worker counts, too:
--                  a Redis that lost the beginning of an attempt gives its number again
--       lost       refused: Redis has no record of the job
--       behind:<n> refused: the log ends at n, before the first chunk given (Redis lost its tail)
-- A call that is repeated because its reply was lost writes nothing twice: numbers decide.
local verdicts, frames, at = {}, {}, 3

local function push(log, chunks, from)
    for first = from, #chunks, 500 do
        redis.call('RPUSH', log, unpack(chunks, first, math.min(first + 499, #chunks)))
    end
end

local function append(job, log, attempt, first, state, chunks)
    local held = redis.call('HMGET', job, 'attempt', 'state', 'reply_to', 'id', 'cancelled', 'worker')
    if not held[1] then return 'lost' end
    local length = redis.call('LLEN', log)
    local repeated = length - (first - 1)
    if held[1] ~= attempt or held[6] ~= ARGV[2] then return 'fenced' end
    if held[2] ~= 'running' then return repeated == #chunks and 'ok' or 'fenced' end
    if repeated < 0 then return 'behind:' .. length end

    push(log, chunks, repeated + 1)
    if state ~= '' then
        redis.call('HSET', job, 'state', state)
        redis.call('HDEL', job, 'job')
        redis.call('ZREM', KEYS[1], held[4])
        redis.call('EXPIRE', job, ARGV[1])
        redis.call('EXPIRE', log, ARGV[1])
    elseif length == 0 then
        redis.call('EXPIRE', log, redis.call('TTL', job))
    end

    local frame = '["' .. held[4] .. '",' .. first .. ',[' .. table.concat(chunks, ',') .. ']]'
    for gateway in string.gmatch(held[3], '%S+') do
        local channel = 'gw:' .. gateway
        frames[channel] = frames[channel] or {}
        table.insert(frames[channel], frame)
    end
    return held[5] and state == '' and 'cancelled' or 'ok'
end

for pair = 2, #KEYS, 2 do
    local attempt, first, state, count = ARGV[at], tonumber(ARGV[at + 1]), ARGV[at + 2], tonumber(ARGV[at + 3])
    local chunks = {}
    for number = 1, count do chunks[number] = ARGV[at + 3 + number] end
    at = at + 4 + count
    table.insert(verdicts, append(KEYS[pair], KEYS[pair + 1], attempt, first, state, chunks))
end
for channel, lines in pairs(frames) do
    redis.call('PUBLISH', channel, table.concat(lines, '\n'))
end
return verdicts
