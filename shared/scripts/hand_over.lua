-- End an attempt at a job, for another worker to go on (hop 4). It does not count as one that failed.
-- KEYS  1 job hash
-- ARGV  1 attempt
local job = redis.call('HMGET', KEYS[1], 'attempt', 'state')
if job[1] == ARGV[1] and job[2] == 'running' then
    redis.call('HINCRBY', KEYS[1], 'failures', -1)
    redis.call('HSET', KEYS[1], 'state', 'queued')
end
