// Package switchtest tries the built binary from outside: on real links, a real
// redis-server (or the in-memory database of package lab where there is none), and the
// files and sockets that a switch, systemd or supervisord provides. Each test gets network
// and mount namespaces of its own.
//
// Environment:
//
//	PORTSYNCD_TEST_DB              redis or lab: which database; by default
//	                               redis if redis-server is installed
//	PORTSYNCD_REQUIRE_INTEGRATION  1: what cannot run here fails, it is not skipped
package switchtest
