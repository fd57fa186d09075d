-- Asks as many apps do: with each of the tokens in a file in turn ("tokens:FILE"), or by the same POST each time
-- ("body:JSON"). The second argument after "--" says which.
local requests, number = {}, 0

function init(args)
  local kind, value = args[2]:match("^(%a+):(.*)$")
  if kind == "body" then
    requests[1] = wrk.format("POST", nil, {["Content-Type"] = "application/json"}, value)
    return
  end
  for token in io.lines(value) do
    requests[#requests + 1] = wrk.format("GET", nil, {["Token"] = token})
  end
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
