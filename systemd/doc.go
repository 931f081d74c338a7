// Package systemd implements three protocols between systemd and a service: state notifications
// (sd_notify(3)), the watchdog (sd_watchdog_enabled(3)) and socket activation (sd_listen_fds(3)).
//
// Each protocol uses environment variables. The functions read their variables once and remove them
// from the environment, so that child processes do not inherit them. Without the variables, for
// example under supervisord, New returns a nil Notifier whose methods do nothing, WatchdogInterval
// returns 0, and Listeners returns no sockets.
//
// Typical use:
//
//	n, err := systemd.New()
//	n.Notify(systemd.Status("waiting for Redis at %s", addr), systemd.ExtendTimeout(10*time.Second))
//	n.Notify(systemd.Ready, systemd.Status("%d ports", ports))
//	n.Notify(systemd.Watchdog) // from the event loop, at least twice in WatchdogInterval
//	n.Notify(systemd.Stopping)
//
// Vsock sockets, the file descriptor store and barriers are not supported.
package systemd
