// Package syslog implements an [slog.Handler] that writes to the syslog daemon at /dev/log, like
// syslog(3), or to standard output or standard error. It never blocks its caller. The level and the
// output can be changed at any time.
//
// # Lines
//
// A line has the format of SONiC's daemons (logger of sonic-swss-common): the tag of the process
// without its process id, then ":- COMPONENT: TEXT". The component of a logger is set with
// With(ComponentKey, name).
//
// The text is the message followed by " key=value" for each attribute. The keys in a group have the
// name of the group and a dot as prefix. Keys and values with blanks, quotes, equal signs or
// unprintable characters are written as Go string literals, and unprintable characters in the
// message are escaped. Text from the kernel, Redis or an HTTP client therefore cannot start a new
// line or control a terminal. Lines are cut at 8 KiB, on standard output and error at 4 KiB.
//
// With the format JSON, lines on standard output and standard error have the format of
// slog.JSONHandler, with SONiC's names of levels and with the member "component". Long values of such
// a line are cut, and each line is valid JSON. Lines to the syslog daemon are always text.
//
// Each message is written at most LinesPerSecond times per second. The next line with that message
// contains the number of suppressed lines. WriteLine is exempt because its callers limit their own
// lines.
//
// # Console
//
// If Options.Console is set, lines for the output Syslog are written to standard error while
// /dev/log does not exist or the syslog daemon is not running. If standard error is a terminal, it
// receives a copy of every line, as with LOG_PERROR of syslog(3).
//
// # Full outputs
//
// If the queue of the syslog daemon or the pipe on standard output is full, up to 64 lines wait for
// room, each for at most 10 s. A goroutine sends them in order, before any line of WriteLine, and
// the caller does not wait. A burst of lines with WriteLine therefore causes no loss of other
// lines.
//
// A line is dropped, and counted by Dropped, if 64 lines are waiting, or if the syslog daemon is not
// available and there is no console. A later line reconnects, at most once a second.
//
// # Concurrency
//
// A Handler and those derived from it with WithAttrs and WithGroup share level, output, counters
// and socket. All methods are safe for concurrent use. Writing a line to /dev/log takes no lock.
// Writing a line of text does not allocate if the line has up to 1 KiB, its attributes are strings,
// numbers, booleans and durations, and it need not wait.
//
// Limiter, Limiters and Budget limit the rate of repeated lines. Each must be used by one goroutine
// only.
package syslog
