-- Start an attempt at a job (hop 4).
-- KEYS  1 job hash   2 job log   3 the model's lease's hash
-- ARGV  1 job id   2 worker id   3 most attempts   4 seconds to keep the records while the job lives
--       5 token of this start   6 delivery tag of its message
-- →     {verdict, attempt, chunks in the log, what was used so far or ''}; verdict is one of
--       run        the attempt is open: it alone may append from now on
--       cancelled  open as well, but only to write the end: the client has gone
--       exhausted  open as well, but only to write the end: it was started too often
--       ended      the job has its end already: drop the message
--       lost       Redis has no record of the job: drop the message
--       fenced     another attempt was opened since the first call with this token
--       surplus    the job runs, and another message of it is under a lease: drop this one, it is not needed
-- A call that is repeated because its reply was lost, with the same token, opens no second attempt.
local job = redis.call('HMGET', KEYS[1], 'state', 'attempt', 'cancelled', 'token:' .. ARGV[5], 'reply_to', 'used', 'tag')
if not job[1] then return {'lost', 0, 0, ''} end
local length, used = redis.call('LLEN', KEYS[2]), job[6] or ''
if job[1] ~= 'queued' and job[1] ~= 'running' then return {'ended', tonumber(job[2]), length, used} end

local attempt, repeated = tonumber(job[2]), job[4]
if repeated and repeated ~= job[2] then return {'fenced', attempt, length, used} end
local other = job[7] and job[7] ~= ARGV[6]
if not repeated and job[1] == 'running' and other and redis.call('HEXISTS', KEYS[3], job[7]) == 1 then
    return {'surplus', attempt, length, used}
end
if not repeated then attempt = attempt + 1 end
-- An attempt has failed until it ends, or is handed over.
local failures = redis.call('HINCRBY', KEYS[1], 'failures', repeated and 0 or 1)
redis.call('HSET', KEYS[1], 'state', 'running', 'attempt', attempt, 'worker', ARGV[2], 'token:' .. ARGV[5], attempt,
    'tag', ARGV[6])
local time = redis.call('TIME')
redis.call('HSETNX', KEYS[1], 'begun', string.format('%d.%06d', time[1], time[2]))
redis.call('EXPIRE', KEYS[1], ARGV[4])
redis.call('EXPIRE', KEYS[2], ARGV[4])
if job[3] then return {'cancelled', attempt, length, used} end
if failures > tonumber(ARGV[3]) then return {'exhausted', attempt, length, used} end
-- A frame without chunks: those who wait for the job learn that it runs.
for gateway in string.gmatch(job[5], '%S+') do redis.call('PUBLISH', 'gw:' .. gateway, '["' .. ARGV[1] .. '",0,[]]') end
return {'run', attempt, length, used}
