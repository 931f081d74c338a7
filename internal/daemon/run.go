package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"portsyncd/internal/syslog"
	"portsyncd/netlinkraw"
)

// Exit statuses of the commands. The daemon ends by the signal that stopped it, because
// supervisord of SONiC takes exit status 0 for a normal end.
const (
	ExitOK    = 0
	ExitError = 1
)

// Run runs the daemon with a configuration file until SIGTERM or SIGINT. The process then ends
// by that signal, as the C++ daemon does, and Run does not return, except as process 1. It
// returns an exit status after an error. A missing file is an error only if required. Run never
// blocks on a full stdout or stderr.
func Run(file string, required bool, stdout, stderr *os.File) int {
	dropPrivileges()
	signal.Ignore(syscall.SIGPIPE) // writing to a closed pipe or socket returns an error instead
	// SIGHUP is caught before anything else, since its default action ends the process.
	reloads := make(chan os.Signal, 1)
	signal.Notify(reloads, syscall.SIGHUP)
	ctx, cancel := context.WithCancelCause(context.Background())
	cancelOnSignal(cancel)

	// List the interfaces before any other work: orchagent creates the interfaces of the ports
	// a second after the start, and an interface created before the list is taken would count
	// as left over from the previous run and be ignored.
	logs := syslog.New(syslog.Options{Tag: "portsyncd", Component: "daemon", Stdout: stdout, Stderr: stderr, Console: true})
	links, existing, err := OpenLinks(ctx, func(err error) {
		slog.New(logs).Error("cannot list the interfaces; retrying", "error", err)
		printError(stderr, err) // syslog needs a descriptor too, and descriptors may be short
	})
	if err == nil {
		cfg, cfgErr := LoadConfig(file, required)
		err = New(Options{
			Config: cfg, ConfigFile: file, ConfigRequired: required, ConfigError: cfgErr,
			Links: links, Existing: existing, SetDown: netlinkraw.SetLinksDown,
			Logs: logs, Stdout: stdout, Reloads: reloads,
		}).Run(ctx)
	}
	if err != nil && !errors.As(err, new(stopSignal)) {
		if logs.Format() == syslog.JSON {
			logs.WriteStderr(slog.LevelError, err.Error())
		} else {
			printError(stderr, err)
		}
		return ExitError
	}
	return raiseStopSignal(context.Cause(ctx))
}

// printError writes an error to stderr, or nothing if the write would block.
func printError(stderr *os.File, err error) {
	syslog.WriteNow(stderr, fmt.Appendf(nil, "portsyncd: %v\n", err))
}
