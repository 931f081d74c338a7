// Package warmrestart stores what has to survive a restart of the daemon: the ports, the counters
// and durations of restarts, and their history. It does not open sockets.
//
// # Files
//
// The state file holds the ports. Together with SONiC's databases it decides whether a start is
// warm. It is valid only in the boot that wrote it. The storage path holds the other files:
//
//   - metrics.json: restart counters, the histogram of sync durations, the newest restart records,
//     and when the process was stopped; with two copies
//   - history.jsonl: one sample per save interval
//   - portsyncd.prom and metrics-export.json: the exports
//
// SONiC ends the daemon with SIGKILL on a warm reboot. Each file is therefore written when its
// content changes, and nothing depends on a last save.
//
// # Counters
//
// Prometheus takes a counter that decreases for a reset and adds its whole value to increase().
// A new value is therefore exposed only after it was written to the disk. If metrics.json could
// never be written, a restart begins at 0 in any case, and values are exposed at once.
//
// # Disk errors
//
// If a disk is full, read-only or broken, each failed write is counted, the error is logged once
// and reported by [Recorder.Problems], and the write is retried after a pause that doubles up to a
// minute. The last good file stays. Each file has its own pause.
//
// # Two processes
//
// [Config.Lock] gives the storage path to one process. Another process reads and writes no file
// until it can acquire the lock. Then it reads metrics.json and adds its own starts.
//
// # History and analysis
//
// [ReadHistory] reads metrics.json and history.jsonl without changing them, in bounded memory, also
// while a daemon writes. Damaged or impossible data is skipped and reported in History.Problems.
// [Analyse] computes an [Analysis]; the comments of its fields define the figures. A figure without
// data is nil, and figures of few observations are marked. A running daemon needs [RestartStorm]
// only.
//
// # Concurrency
//
// Run is the only goroutine that accesses the files. The methods that the event loop calls hand
// over a copy and return at once, even if the disk hangs.
package warmrestart
