package daemon

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// stopSignal is the signal that stopped the daemon, as the cause of its context's end.
type stopSignal struct{ os.Signal }

func (s stopSignal) Error() string { return s.String() }

// cancelOnSignal calls cancel with a [stopSignal] at the first SIGTERM or SIGINT.
func cancelOnSignal(cancel context.CancelCauseFunc) {
	c := make(chan os.Signal, 1)
	signal.Notify(c, syscall.SIGTERM, syscall.SIGINT)
	go func() { cancel(stopSignal{<-c}) }()
}

// raiseStopSignal ends the process by the signal in cause. The kernel discards signals that
// process 1 of a PID namespace sends to itself (pid_namespaces(7)); there raiseStopSignal
// returns 128 plus the signal number, as a shell reports such an end.
func raiseStopSignal(cause error) int {
	var stop stopSignal
	if !errors.As(cause, &stop) {
		return ExitError
	}
	sig := stop.Signal.(syscall.Signal)
	if os.Getpid() != 1 {
		signal.Reset(sig)
		syscall.Kill(os.Getpid(), sig)
		time.Sleep(time.Second) // delivery to one of the threads may take a moment
	}
	return 128 + int(sig)
}
