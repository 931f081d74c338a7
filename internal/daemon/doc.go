// Package daemon starts, reloads and stops the daemon. It reads the configuration, opens the
// netlink socket, and connects the event loop of package portsync to the log, the HTTP server, the
// stored state, the metrics push and the service manager.
//
// [Run] runs the daemon on a switch. The demo creates its own links and database and uses [New].
package daemon
