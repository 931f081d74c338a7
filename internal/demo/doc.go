// Package demo runs the daemon on a switch in a box: veth interfaces in a network
// namespace of its own, an in-memory database and a stand-in for orchagent.
package demo
