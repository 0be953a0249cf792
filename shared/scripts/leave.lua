-- Cancel a job: at its reader's leaving, or at once.
-- KEYS  1 job hash   2 jobs of the model that wait   3 the same, the next first
--       4 the model's control channel
-- ARGV  1 job id   2 the reader that leaves; without it, whoever reads
-- →     1 if the job was cancelled; 0 if it has ended, is gone, or has another reader
local job = redis.call('HMGET', KEYS[1], 'state', 'reader')
if job[1] ~= 'queued' and job[1] ~= 'running' then return 0 end
if ARGV[2] and job[2] ~= ARGV[2] then return 0 end
-- First the mark, then the message: a worker that misses the message sees the mark. It tells why: a request whose
-- client only left may be sent again.
redis.call('HSETNX', KEYS[1], 'cancelled', ARGV[2] and 'left' or 'asked')
for jobs = 2, 3 do redis.call('ZREM', KEYS[jobs], ARGV[1]) end
redis.call('PUBLISH', KEYS[4], ARGV[1])
return 1
