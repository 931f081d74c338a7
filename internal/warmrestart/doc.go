// Package warmrestart stores the data that must survive a restart of the daemon: the ports, the
// restart counters, the durations of initial syncs, and the history. It does not open sockets.
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
// On a warm reboot, SONiC kills the daemon with SIGKILL. Each file is therefore written when its
// content changes, and nothing depends on a final save.
//
// # Counters
//
// Prometheus interprets a decreasing counter as a reset and adds its whole value to increase(). A
// new value is therefore exposed only after it has been written to disk. If metrics.json has never
// been written, a restart begins at 0 in any case, so values are exposed immediately.
//
// # Disk errors
//
// If a disk is full, read-only or broken, each failed write is counted, and the write is retried
// after a pause that doubles up to one minute. The error is logged once and reported by
// [Recorder.Problems]. The last good file is kept. Each file has its own pause.
//
// # Two processes
//
// [Config.Lock] gives the storage path to one process. Another process reads and writes no file
// until it can acquire the lock. Then it reads metrics.json and adds its own starts.
//
// # History and analysis
//
// [ReadHistory] reads metrics.json and history.jsonl without changing them, in bounded memory, also
// while a daemon writes. Corrupt or impossible data is skipped and reported in History.Problems.
// [Analyze] computes an [Analysis]; the comments of its fields define the figures. A figure without
// data is nil, and figures of few observations are marked. A running daemon needs [RestartStorm]
// only.
//
// # Concurrency
//
// Run is the only goroutine that accesses the files. Methods called by the event loop hand over a
// copy and return immediately, even if the disk is blocked.
package warmrestart
