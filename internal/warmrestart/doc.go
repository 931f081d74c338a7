// Package warmrestart is what the daemon remembers over a restart: the ports as
// they last were, the counters and durations of restarts, and their history. It
// knows nothing of sockets.
//
// # Files
//
// The state file holds the ports. Together with SONiC's databases it decides
// whether a start is warm; it is of no use after another boot. Under the storage
// path lie metrics.json (restart counters, the histogram of sync durations, the
// newest restart records, and whether the process was stopped), two copies of it,
// history.jsonl with one sample each save interval, and
// the exports portsyncd.prom and metrics-export.json.
//
// SONiC ends the daemon with SIGKILL on a warm reboot, so everything is written
// when it changes, and nothing depends on a last save.
//
// # Counters that survive
//
// A counter that comes back lower looks to Prometheus like a reset and adds its
// whole value to increase(). A new value is therefore exposed only once it is on
// the disk. Where there is nothing on the disk to come back to, because no file
// could ever be written, values are exposed at once, and start at 0 with the
// process as any other counter does.
//
// # Disk trouble
//
// A full, read-only or broken disk is counted, logged once, told by
// Recorder.Trouble, and tried again after a pause that grows; the last good file
// stays. Each file has its own pause, so that one bad place does not hold up the
// others.
//
// # History and analysis
//
// ReadHistory reads metrics.json and history.jsonl without changing them, also
// while a daemon writes, in memory that is bounded whatever the disk holds. What
// cannot be true or cannot be read is left out and named. Analyse calculates from
// that; the fields of Analysis are the definitions. It never makes up a figure:
// without data a field is nil, and few data are said to be few. A running daemon
// needs RestartStorm only.
//
// # Concurrency
//
// A Recorder has one goroutine, Run, that owns all files. The methods that the
// event loop calls hand it a copy and return at once, however long the disk takes.
package warmrestart
