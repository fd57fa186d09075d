-- POSTs tasks whose payloads are never the same twice; the first argument after "--" tells one run from another,
-- the second is the token.
local run, number = "run", 0

function init(args)
  run = args[1] or run
  wrk.method = "POST"
  wrk.headers["Content-Type"] = "application/json"
  if args[2] and args[2] ~= "" then wrk.headers["Token"] = args[2] end
end

function request()
  number = number + 1
  local body = string.format(
    '{"provider": "acme", "payload": {"order": "%s-%d", "range": "10.0.%d.0/24", "note": "%s"}}',
    run, number, number % 250, "forty characters of what somebody said..")
  return wrk.format(nil, nil, nil, body)
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
