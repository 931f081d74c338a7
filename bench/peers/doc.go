// Package peers sets what portsyncd does for each event beside what the usual
// Go modules do with the same bytes, on the same machine in one run:
//
//   - the decoding of a link message that the kernel sent, beside
//     vishvananda/netlink and jsimonetti/rtnetlink;
//   - the pipelined writing of STATE_DB's rows to a real redis-server, beside
//     go-redis and rueidis.
//
// The tests say that all of them read the same values and write the same rows;
// how fast they do it is for the benchmarks:
//
//	go test ./peers
//	go test ./peers -run '^$' -bench . -benchmem
package peers
