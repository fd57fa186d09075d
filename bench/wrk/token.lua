-- GETs with a token, the second argument after "--".
function init(args)
  if args[2] and args[2] ~= "" then wrk.headers["Token"] = args[2] end
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
