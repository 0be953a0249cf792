-- End an attempt at a job, for another worker to go on (hop 4). It does not count as one that failed.
-- KEYS  1 job hash
-- ARGV  1 attempt   2 worker id
local job = redis.call('HMGET', KEYS[1], 'attempt', 'state', 'worker')
if job[1] == ARGV[1] and job[2] == 'running' and job[3] == ARGV[2] then
    redis.call('HINCRBY', KEYS[1], 'failures', -1)
    redis.call('HSET', KEYS[1], 'state', 'queued')
end
