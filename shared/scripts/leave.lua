-- Cancel a job: at its reader's leaving, or at once. One that is at no worker ends here; its worker ends any other.
-- Begins with lines.lua and ending.lua.
-- KEYS  1 job hash   2 the model's control channel
-- ARGV  1 job id   2 seconds to keep its records after its end   3 its end, a chunk
--       4 the reader that leaves; without it, whoever reads
-- →     1 if the job was cancelled; 0 if it has ended, is gone, or has another reader
local job = redis.call('HMGET', KEYS[1], 'state', 'reader')
if job[1] ~= 'queued' and job[1] ~= 'running' then return 0 end
if ARGV[4] and job[2] ~= ARGV[4] then return 0 end
-- First the mark, then the message: a worker that misses the message sees the mark. It tells why: a request whose
-- client only left may be sent again.
redis.call('HSETNX', KEYS[1], 'cancelled', ARGV[4] and 'left' or 'asked')
local time = clock()
if turn_away(ARGV[1], 'cancelled', ARGV[3], time, ARGV[2]) == 1 then
    dispatch(string.match(KEYS[2], '^ctl:(.*)$'), time)
else
    redis.call('PUBLISH', KEYS[2], ARGV[1])
end
return 1
