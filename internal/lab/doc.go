// Package lab is a switch in a box, for portsyncd's demo and tests. It needs
// nothing on the machine but this program:
//
//   - [DB] is an in-memory SONiC database that speaks RESP2, the protocol of
//     Redis, with the commands, errors, notifications and MONITOR lines that
//     SONiC's daemons and tests use. It runs no Lua: a script is known by its
//     exact source, see [DB.RegisterScript].
//   - [Links] makes and changes network interfaces by rtnetlink, and [IP]
//     understands the `ip link` lines of scenario files.
//   - [Command], [Namespaces] and [InNamespace] run a program or a test in
//     network namespaces of its own, as root or as an ordinary user.
//   - [SimKernel] stands in for the kernel where namespaces are forbidden. It
//     sends real netlink bytes.
//   - [Orchagent] plays the consumer of the ports, [Flapper] an unquiet
//     network, and [Switch] puts it all together.
//
// The package is a tool for trying the daemon out, not a part of it: it uses
// mutexes and allocates freely.
package lab
