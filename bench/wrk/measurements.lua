-- POSTs readings that are never the same twice: of 100 components in turn, each a second after its last; the first
-- argument after "--" tells one run from another, the second is the token.
local run, number = 0, 0

function init(args)
  run = tonumber(string.sub(args[1] or "0", 1, 4), 16) or 0
  wrk.method = "POST"
  wrk.headers["Content-Type"] = "application/json"
  if args[2] and args[2] ~= "" then wrk.headers["Token"] = args[2] end
end

function request()
  number = number + 1
  local second = math.floor(number / 100)
  local body = string.format(
    '{"component_id": %d, "timestamp": "2026-03-01T%02d:%02d:%02d.%06dZ", "value": %d.5, "measurement_type": "POWER"}',
    number % 100 + 1, math.floor(second / 3600) % 24, math.floor(second / 60) % 60, second % 60, run, number % 90)
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
