// Package lab simulates the environment of portsyncd on a switch, for the demo and for tests. It needs
// no other programs:
//
//   - [DB] is an in-memory database with the protocol of Redis (RESP2), and the commands, errors,
//     notifications and MONITOR lines that SONiC's daemons and tests use. It has no Lua interpreter;
//     it identifies a script by its source, see [DB.RegisterScript].
//   - [Links] creates and changes network interfaces by rtnetlink. [IP] executes the `ip link` lines
//     of scenario files.
//   - [Command] and [InNamespace] run a program or a test in its own network namespace, as root or as
//     an ordinary user.
//   - [SimKernel] replaces the kernel if namespaces are not permitted. It encodes netlink messages.
//   - [Orchagent] consumes the ports, [Flapper] makes links flap, and [Switch] combines these parts.
//
// The daemon does not use this package, which therefore uses mutexes and allocates freely.
package lab
