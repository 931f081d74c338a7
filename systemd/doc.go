// Package systemd speaks the three small protocols by which systemd and a service talk: readiness and status
// messages (sd_notify(3)), the watchdog (sd_watchdog_enabled(3)) and sockets handed over at start (sd_listen_fds(3)).
//
// All three begin with environment variables. Each function reads its variables once and removes them, so that
// they reach no other part of the program and no child. Nothing here needs systemd to be there: without the
// variables New returns a nil Notifier whose methods do nothing, WatchdogInterval is 0 and Listeners finds none,
// which is how portsyncd runs under supervisord.
//
// A typical order of calls:
//
//	n, err := systemd.New()
//	n.Notify(systemd.Status("waiting for Redis at %s", addr), systemd.ExtendTimeout(10*time.Second))
//	n.Notify(systemd.Ready, systemd.Status("%d ports", ports))
//	n.Notify(systemd.Watchdog) // at half of WatchdogInterval or faster, from the loop that must not stall
//	n.Notify(systemd.Stopping)
//
// What is left out: vsock sockets, file descriptor stores, and barriers.
package systemd
