package daemon

import (
	"errors"
	"net"
	"time"

	"portsyncd/systemd"
)

// openSystemd reads the notification socket and the watchdog timeout from the environment. The
// timeout is 0 if there is no watchdog.
func (d *Daemon) openSystemd() (watchdog time.Duration) {
	notifier, err := systemd.New()
	d.notifier = notifier
	watchdog, watchdogErr := systemd.WatchdogInterval()
	if err := errors.Join(err, watchdogErr); err != nil {
		d.log.Error("invalid environment variables from the service manager; ignoring them", "error", err)
	}
	return watchdog
}

// takeListeners returns the listeners given in the options and those passed by systemd.
func (d *Daemon) takeListeners() []net.Listener {
	passed, err := systemd.Listeners()
	if err != nil {
		d.log.Error("cannot use the sockets passed by the service manager; listening on the addresses in metrics.listen", "error", err)
	}
	listeners := d.Listeners
	for _, l := range passed {
		listeners = append(listeners, l)
	}
	return listeners
}

// notify sends states to the service manager, if there is one.
func (d *Daemon) notify(states ...string) {
	if err := d.notifier.Notify(states...); err != nil {
		d.log.Warn("cannot notify the service manager", "error", err)
	}
}
