// Package peers compares portsyncd's processing of an event with commonly used Go modules, using
// the same input on the same machine: decoding a recorded link message with vishvananda/netlink and
// jsimonetti/rtnetlink, and writing STATE_DB rows in a pipeline to a real redis-server with
// go-redis and rueidis. The tests check that all implementations read the same values and write the
// same rows. The benchmarks measure their speed:
//
//	go test ./peers
//	go test ./peers -run '^$' -bench . -benchmem
package peers
