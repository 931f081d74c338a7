// Package daemon starts, reloads and stops the daemon: it reads the configuration, opens
// the netlink socket, and connects the event loop of package portsync to logging, HTTP,
// saved state, push and the service manager.
package daemon
