-- Admit a job, if there is room before its model (hop 2).
-- KEYS  1 job hash   2 jobs of the model that wait   3 the same, the next first   4 its jobs that have no end
--       5… the lists of its queue
-- ARGV  1 job id   2 now   3 the job's deadline (Unix seconds)   4 the priority of its message
--       5 most jobs that may wait   6 most messages in the lists   7 seconds to keep the records
--       8… the record's fields and values
-- →     nil if admitted (again, if the reply was lost), or how many wait already
-- A job that is cancelled waits no more, but its message stays in its list until a worker drops it: so both
-- the jobs and the messages have a bound.
local ERA = 1e11 -- more than any time: those who wait are in the order of their priority, and then of their coming
for _, late in ipairs(redis.call('ZRANGE', KEYS[2], '-inf', ARGV[2], 'BYSCORE')) do
    redis.call('ZREM', KEYS[3], late)
end
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', ARGV[2])
if not redis.call('ZSCORE', KEYS[2], ARGV[1]) then
    local waiting, messages = redis.call('ZCARD', KEYS[2]), 0
    for list = 5, #KEYS do messages = messages + redis.call('LLEN', KEYS[list]) end
    if waiting >= tonumber(ARGV[5]) then return waiting end
    if messages >= tonumber(ARGV[6]) then return messages end
end
redis.call('HSET', KEYS[1], unpack(ARGV, 8))
redis.call('EXPIRE', KEYS[1], ARGV[7])
redis.call('ZADD', KEYS[2], ARGV[3], ARGV[1])
redis.call('ZADD', KEYS[3], 'NX', ARGV[4] * ERA + ARGV[2], ARGV[1])
redis.call('ZADD', KEYS[4], ARGV[3], ARGV[1])
for jobs = 2, 4 do
    -- Never sooner: another job may have more time than this one.
    redis.call('EXPIRE', KEYS[jobs], ARGV[7], 'NX')
    redis.call('EXPIRE', KEYS[jobs], ARGV[7], 'GT')
end
return nil
