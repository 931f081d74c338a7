// Package peers compares what portsyncd does for each event with the usual Go modules, on the same
// bytes and the same machine: decoding a recorded link message, beside vishvananda/netlink and
// jsimonetti/rtnetlink, and writing STATE_DB's rows in a pipeline to a real redis-server, beside
// go-redis and rueidis. The tests check that all of them read the same values and write the same
// rows; the benchmarks measure the speed:
//
//	go test ./peers
//	go test ./peers -run '^$' -bench . -benchmem
package peers
