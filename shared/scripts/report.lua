-- A worker's word on itself, and on its place in the model's pool; what there is room for goes on at once (hop 4).
-- Begins with lines.lua.
-- KEYS  1 the worker's report   2 all workers, by their last report
-- ARGV  1 worker id   2 model   3 the report, JSON; '' if it leaves   4 seconds it holds   5 jobs at once; 0 until it
--         is ready, and when it takes no more   6 when it was reported (Unix seconds)   7 jobs it has in hand though it
--         takes no more
local id, model, pool, time = ARGV[1], ARGV[2], 'pool:' .. ARGV[2], clock()
if ARGV[3] == '' then
    redis.call('DEL', KEYS[1])
    redis.call('ZREM', KEYS[2], id)
else
    redis.call('SET', KEYS[1], ARGV[3], 'EX', ARGV[4])
    redis.call('ZADD', KEYS[2], ARGV[6], id)
end
local words = redis.call('HGETALL', pool)
for n = 1, #words, 2 do
    -- Who is long gone, too.
    if tonumber(string.match(words[n + 1], '%S+ (%S+)')) < time then redis.call('HDEL', pool, words[n]) end
end
if ARGV[3] == '' or ARGV[5] == '0' and ARGV[7] == '0' then
    redis.call('HDEL', pool, id)
else
    redis.call('HSET', pool, id, string.format('%s %.3f %s', ARGV[5], time + ARGV[4], ARGV[7]))
    redis.call('EXPIRE', pool, ARGV[4])
end
dispatch(model, time)
