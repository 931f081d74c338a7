package daemon

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// stopSignal is the signal that stopped the daemon. It is the cause of its context's cancellation.
type stopSignal struct{ os.Signal }

func (s stopSignal) Error() string { return s.String() }

// cancelOnSignal calls cancel with a [stopSignal] on the first SIGTERM or SIGINT.
func cancelOnSignal(cancel context.CancelCauseFunc) {
	c := make(chan os.Signal, 1)
	signal.Notify(c, syscall.SIGTERM, syscall.SIGINT)
	go func() { cancel(stopSignal{<-c}) }()
}

// raiseStopSignal terminates the process with the signal in cause. The kernel discards signals that
// process 1 of a PID namespace sends to itself (pid_namespaces(7)); in that case raiseStopSignal
// returns 128 plus the signal number, as shells do.
func raiseStopSignal(cause error) int {
	var stop stopSignal
	if !errors.As(cause, &stop) {
		return ExitError
	}
	sig := stop.Signal.(syscall.Signal)
	if os.Getpid() != 1 {
		signal.Reset(sig)
		syscall.Kill(os.Getpid(), sig)
		time.Sleep(time.Second) // wait for the signal to be delivered
	}
	return 128 + int(sig)
}
