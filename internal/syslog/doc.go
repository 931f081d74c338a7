// Package syslog is the daemon's log: an slog.Handler that writes to /dev/log as syslog(3) does, or to standard
// output or standard error, and that never makes its caller wait. Level and output can be changed while it runs.
//
// # Lines
//
// A line has the form that sonic-swss-common's logger gives to the lines of SONiC's daemons: ":- COMPONENT: TEXT", behind
// the tag of the process without its id. A logger has the component that With(ComponentKey, name) gave it.
//
// The text is the message followed by one " key=value" for each attribute; a group's name and a dot stand before the keys in it.
// Values (and keys) with blanks, quotes, equal signs or unprintable characters are written as Go string literals, and
// unprintable characters of the message are escaped, so that what the kernel, Redis or an HTTP client sent us can
// neither start a line of its own nor steer a terminal. Lines are cut at 8 KiB, on standard output at 4 KiB.
//
// The same message is written at most LinesPerSecond times in one second; the next such line has the number of those
// suppressed. WriteLine, for callers that bound their lines themselves, is exempt.
//
// # What happens when nobody reads
//
// While the syslog daemon's queue or the pipe on standard output is full, up to 64 lines wait for room, each for at most ten
// seconds, and a goroutine sends them in their order; lines of WriteLine let them go first. The caller does not wait. So a
// burst of lines of one kind does not cost the lines of other kinds.
//
// Any other line is dropped and counted (Dropped): when too many wait, and when /dev/log does not exist or its daemon is gone;
// the connection is then tried again by the next line, at most once a second.
//
// # Concurrency
//
// A Handler and all that With and WithGroup derived from it share level, output, counters and socket; everything
// is safe for concurrent use. The way to /dev/log takes no lock and does not allocate for a line of ordinary length whose
// attributes are strings, numbers, booleans and durations, unless the line has to wait.
//
// Limiter, Limiters and Budget, which keep repeating lines from flooding the log, belong to one goroutine each.
package syslog
