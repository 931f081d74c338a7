package main

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"portsyncd/internal/switchtest"
	"portsyncd/netlinkraw"
)

// changer changes MTUs as fast as the kernel allows. It sends many requests in one system call,
// without acknowledgements. It must be used by one goroutine.
type changer struct {
	fd      int
	pending []byte
	answer  []byte
}

func newChanger() (*changer, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("open netlink socket: %w", err)
	}
	return &changer{fd: fd, answer: make([]byte, 4<<10)}, nil
}

func (c *changer) close() { unix.Close(c.fd) }

// setMTU appends a request that sets the MTU of a link.
func (c *changer) setMTU(index int32, mtu int) {
	begin := len(c.pending)
	c.pending = netlinkraw.AppendHeader(c.pending, unix.RTM_NEWLINK, unix.NLM_F_REQUEST, 0, 0)
	c.pending = netlinkraw.AppendIfinfomsg(c.pending, unix.AF_UNSPEC, index, 0, 0)
	c.pending = netlinkraw.AppendAttrUint32(c.pending, unix.IFLA_MTU, uint32(mtu))
	netlinkraw.FinishMessage(c.pending, begin)
}

// flush sends the requests. When it returns, the kernel has executed them.
func (c *changer) flush() error {
	err := unix.Sendto(c.fd, c.pending, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK})
	c.pending = c.pending[:0]
	if err != nil {
		return fmt.Errorf("change MTUs: %w", err)
	}
	// The kernel replies only to requests that it rejects.
	n, _, err := unix.Recvfrom(c.fd, c.answer, unix.MSG_DONTWAIT)
	switch {
	case errors.Is(err, unix.EAGAIN):
		return nil
	case err != nil:
		return fmt.Errorf("change MTUs: %w", err)
	}
	return fmt.Errorf("change MTUs: kernel rejected a request: NLMSG_ERROR payload % x", c.answer[:n])
}

// portIndexes returns the interface indexes of the first n ports, where n is ports.
func portIndexes(ports int) ([]int32, error) {
	known := make(map[string]int32)
	if err := netlinkraw.ListLinks(func(l *netlinkraw.Link) { known[string(l.Name)] = l.Index }); err != nil {
		return nil, err
	}
	indexes := make([]int32, ports)
	for i := range indexes {
		index, ok := known[switchtest.PortName(i)]
		if !ok {
			return nil, fmt.Errorf("interface of port %s does not exist", switchtest.PortName(i))
		}
		indexes[i] = index
	}
	return indexes, nil
}

// queue describes the receive queue of the daemon's netlink socket.
type queue struct {
	Bytes int // memory in use, as counted against the receive buffer limit
	Drops int // messages lost so far
	Inode int // of the socket
}

// readQueue returns the queue of the only netlink socket in this network namespace that has joined
// the link group.
func readQueue() (queue, error) {
	text, err := os.ReadFile("/proc/thread-self/net/netlink")
	if err != nil {
		return queue{}, err
	}
	return parseQueue(string(text))
}

// parseQueue parses the contents of /proc/net/netlink. The columns are sk, Eth (the protocol), Pid,
// Groups, Rmem, Wmem, Dump, Locks, Drops and Inode (net/netlink/af_netlink.c,
// netlink_native_seq_show).
func parseQueue(text string) (queue, error) {
	const linkGroup = 1 << (unix.RTNLGRP_LINK - 1)
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) != 10 || f[1] != strconv.Itoa(unix.NETLINK_ROUTE) {
			continue
		}
		if groups, err := strconv.ParseUint(f[3], 16, 32); err != nil || groups&linkGroup == 0 {
			continue
		}
		size, err := strconv.Atoi(f[4])
		drops, err2 := strconv.Atoi(f[8])
		inode, err3 := strconv.Atoi(f[9])
		return queue{size, drops, inode}, errors.Join(err, err2, err3)
	}
	return queue{}, errors.New("no socket has joined the link group")
}

// receiveBuffer returns the size of the receive buffer of the socket that readQueue describes, which
// belongs to the given process.
func receiveBuffer(pid int) (int, error) {
	q, err := readQueue()
	if err != nil {
		return 0, err
	}
	dir := fmt.Sprintf("/proc/%d/fd", pid)
	entries, err := os.ReadDir(dir)
	if err != nil {
		return 0, err
	}
	for _, e := range entries {
		if target, err := os.Readlink(dir + "/" + e.Name()); err != nil || target != fmt.Sprintf("socket:[%d]", q.Inode) {
			continue
		}
		number, err := strconv.Atoi(e.Name())
		if err != nil {
			return 0, err
		}
		return socketBuffer(pid, number)
	}
	return 0, fmt.Errorf("process %d does not have the socket that has joined the link group", pid)
}

// socketBuffer returns the receive buffer size of a socket of another process.
func socketBuffer(pid, number int) (int, error) {
	process, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return 0, fmt.Errorf("pidfd_open: %w", err)
	}
	defer unix.Close(process)
	fd, err := unix.PidfdGetfd(process, number, 0)
	if err != nil {
		return 0, fmt.Errorf("pidfd_getfd: %w", err)
	}
	defer unix.Close(fd)
	size, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF)
	if err != nil {
		return 0, fmt.Errorf("read SO_RCVBUF: %w", err)
	}
	return size, nil
}
