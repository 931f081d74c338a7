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

// Exit statuses of the commands. The daemon itself is terminated by the signal that stopped it,
// because SONiC's supervisord treats exit status 0 as a normal exit.
const (
	ExitOK    = 0
	ExitError = 1
)

// Run runs the daemon with a configuration file until SIGTERM or SIGINT. The signal then terminates
// the process, as in the C++ daemon, so Run does not return unless it runs as process 1. It returns
// an exit status after an error. A missing file is an error only if required is set. Run never
// blocks on a full stdout or stderr.
func Run(file string, required bool, stdout, stderr *os.File) int {
	dropPrivileges()
	signal.Ignore(syscall.SIGPIPE) // writing to a closed pipe or socket returns an error instead
	// Catch SIGHUP first, because its default action terminates the process.
	reloads := make(chan os.Signal, 1)
	signal.Notify(reloads, syscall.SIGHUP)
	ctx, cancel := context.WithCancelCause(context.Background())
	cancelOnSignal(cancel)

	// List the interfaces before anything else: orchagent creates the port interfaces a second
	// after startup, and an interface created before the listing would be treated as left over from
	// the previous run and ignored.
	logs := syslog.New(syslog.Options{Tag: "portsyncd", Component: "daemon", Stdout: stdout, Stderr: stderr, Console: true})
	links, existing, err := OpenLinks(ctx, func(err error) {
		slog.New(logs).Error("cannot list the interfaces; retrying", "error", err)
		printError(stderr, err) // syslog also needs a descriptor, and none may be left
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

// printError writes an error message to stderr, unless the write would block.
func printError(stderr *os.File, err error) {
	syslog.WriteNow(stderr, fmt.Appendf(nil, "portsyncd: %v\n", err))
}
