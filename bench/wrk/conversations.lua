-- Asks what the lines of a file say: headers ("Name: value") up to an empty line, then a path on each line, asked for in
-- turn. The second argument after "--" is the file; where in it to begin is taken from the first.
local requests, number = {}, 0

function init(args)
  local headers, in_head = {}, true
  for line in io.lines(args[2]) do
    if in_head and line == "" then
      in_head = false
    elseif in_head then
      local name, value = line:match("^([^:]+): (.*)$")
      headers[name] = value
    else
      requests[#requests + 1] = wrk.format("GET", line, headers)
    end
  end
  number = tonumber(args[1], 16) % #requests
end

function request()
  number = number % #requests + 1
  return requests[number]
end

-- Prints what wrk measured as one line of JSON; latencies in microseconds.
function done(summary, latency, requests)
  local e = summary.errors
  io.write(string.format(
    '\nJSON {"requests": %d, "duration_us": %d, "bytes": %d, "p50_us": %d, "p99_us": %d, "max_us": %d,'
    .. ' "failed_status": %d, "failed_socket": %d}\n',
    summary.requests, summary.duration, summary.bytes,
    latency:percentile(50), latency:percentile(99), latency.max,
    e.status, e.connect + e.read + e.write + e.timeout))
end
