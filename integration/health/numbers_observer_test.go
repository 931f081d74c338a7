package health

import (
	endian "encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"portsyncd/internal/switchtest"
)

// The observers of this file count the same as the daemon from other sources and without its code:
// the kernel's link messages, the commands that the server runs, the log, the notifications, the
// files and the HTTP requests.

// linkMessage is one link message of the kernel.
type linkMessage struct {
	deleted  bool
	index    int32
	name     string
	master   bool
	counted  bool   // the message has carrier counts
	down     uint32 // link-down transitions
	at       time.Time
	datagram int // the number of its datagram
}

// observeLinks records the link messages of this network namespace. Its socket has a buffer large
// enough for the test.
func observeLinks(sw *switchtest.Switch) *switchtest.Record[linkMessage] {
	sw.T.Helper()
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	sw.NoError("open a netlink socket", err)
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 256<<20) != nil {
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, 256<<20) // of an ordinary user
	}
	sw.NoError("listen to links", unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: unix.RTMGRP_LINK}))
	news := new(switchtest.Record[linkMessage])
	go func() {
		buf := make([]byte, 1<<20)
		for datagram := 1; ; datagram++ {
			n, err := unix.Read(fd, buf)
			if err == unix.EINTR {
				continue
			}
			if err != nil {
				news.Add(linkMessage{name: "lost: " + err.Error()})
				return
			}
			messages, _ := syscall.ParseNetlinkMessage(buf[:n])
			for i := range messages {
				if m, ok := parseLinkMessage(&messages[i]); ok {
					m.datagram = datagram
					news.Add(m)
				}
			}
		}
	}()
	return news
}

// parseLinkMessage parses a link message with package syscall, independently of the daemon.
func parseLinkMessage(m *syscall.NetlinkMessage) (n linkMessage, ok bool) {
	if t := m.Header.Type; t != unix.RTM_NEWLINK && t != unix.RTM_DELLINK {
		return n, false
	}
	attributes, err := syscall.ParseNetlinkRouteAttr(m)
	if err != nil {
		return n, false
	}
	n.deleted, n.at = m.Header.Type == unix.RTM_DELLINK, time.Now()
	n.index = int32(endian.NativeEndian.Uint32(m.Data[4:])) // struct ifinfomsg
	for _, a := range attributes {
		switch a.Attr.Type {
		case unix.IFLA_IFNAME:
			n.name = strings.TrimRight(string(a.Value), "\x00")
		case unix.IFLA_MASTER:
			n.master = true
		case unix.IFLA_CARRIER_DOWN_COUNT:
			n.counted, n.down = true, endian.NativeEndian.Uint32(a.Value)
		}
	}
	return n, true
}

// rowCounts counts what the daemon wrote to the rows of ports, from the commands that MONITOR
// shows.
type rowCounts struct {
	sets, deletes float64            // executed commands
	refusals      float64            // requests that the server rejected in part
	batchPorts    []float64          // ports written in each batch
	changes       map[string]float64 // writes that created or changed a row, by port
	comparisons   float64            // comparisons of all rows with the kernel
	commands      float64
}

// rowTracker follows the rows of ports in STATE_DB from the commands that MONITOR shows.
type rowTracker struct {
	rowCounts
	state  int // number of STATE_DB
	rows   switchtest.Rows
	jammed map[string]bool
	script map[string]bool // ports written by the current script; nil without one
	failed bool            // a part of the script was rejected
}

func newRowTracker(state int) *rowTracker {
	return &rowTracker{state: state, rows: make(switchtest.Rows), jammed: make(map[string]bool), rowCounts: rowCounts{changes: make(map[string]float64)}}
}

// take processes the next command.
func (b *rowTracker) take(c switchtest.RedisCommand) {
	daemon := strings.HasPrefix(c.Source, "unix:")
	word := strings.ToLower(c.Args[0])
	if c.Source != "lua" {
		b.endScript()
		if daemon && (word == "evalsha" || word == "eval") {
			b.script = make(map[string]bool)
		}
	}
	if daemon {
		b.commands++
	}
	if c.DB != b.state || len(c.Args) < 2 {
		return
	}
	port, isRow := strings.CutPrefix(c.Args[1], switchtest.StatePort)
	if daemon && word == "keys" && c.Args[1] == switchtest.StatePort+"*" {
		b.comparisons++
	}
	if !isRow || port == "" {
		return
	}
	switch word {
	case "set":
		b.jammed[port] = true
		b.rows[port] = map[string]string{"": c.Args[2]}
	case "del":
		delete(b.jammed, port)
		b.rows.Apply(port, "DEL", nil)
		if c.Source == "lua" {
			b.deletes++
			b.script[port] = true
		}
	case "hdel":
		b.rows.Apply(port, "HDEL", map[string]string{c.Args[2]: ""})
	case "hset":
		b.set(port, switchtest.FieldMap(c.Args[2:]), c.Source == "lua")
	}
}

func (b *rowTracker) set(port string, fields map[string]string, ours bool) {
	if b.jammed[port] {
		b.failed = b.failed || ours
		return
	}
	_, changed := b.rows.Apply(port, "HSET", fields)
	if !ours {
		return
	}
	b.sets++
	b.script[port] = true
	if changed {
		b.changes[port]++
	}
}

// endScript counts the writes of a script that has ended.
func (b *rowTracker) endScript() {
	if b.script != nil {
		if n := len(b.script); n > 0 {
			b.batchPorts = append(b.batchPorts, float64(n))
		}
		b.refusals += float64(switchtest.BoolToInt(b.failed))
	}
	b.script, b.failed = nil, false
}

// observeFiles counts how often each file of some directories is replaced.
func observeFiles(sw *switchtest.Switch, dirs ...string) *switchtest.Record[string] {
	sw.T.Helper()
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC)
	sw.NoError("watch files", err)
	for _, dir := range dirs {
		sw.NoError("make a directory", os.MkdirAll(dir, 0o755))
		_, err := unix.InotifyAddWatch(fd, dir, unix.IN_MOVED_TO)
		sw.NoError("watch "+dir, err)
	}
	replaced := new(switchtest.Record[string])
	go func() {
		buf := make([]byte, 64<<10)
		for {
			n, err := unix.Read(fd, buf)
			if err != nil {
				return
			}
			// struct inotify_event of inotify(7), the length of the name at its end.
			for rest := buf[:n]; len(rest) >= unix.SizeofInotifyEvent; {
				end := unix.SizeofInotifyEvent + int(endian.NativeEndian.Uint32(rest[12:]))
				replaced.Add(strings.TrimRight(string(rest[unix.SizeofInotifyEvent:end]), "\x00"))
				rest = rest[end:]
			}
		}
	}()
	return replaced
}

// count returns how many items of a record satisfy a condition.
func count[T any](r *switchtest.Record[T], cond func(T) bool) (n float64) {
	items, _ := r.From(0)
	for _, item := range items {
		if cond(item) {
			n++
		}
	}
	return n
}

// receiveBufferOf returns the receive buffer of a process's netlink socket for link messages,
// through a copy of its descriptor, or 0 if that is not permitted.
func receiveBufferOf(sw *switchtest.Switch, pid int) (size float64) {
	sw.T.Helper()
	process, err := unix.PidfdOpen(pid, 0)
	sw.NoError("open the daemon's process", err)
	defer unix.Close(process)
	entries, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
	sw.NoError("list the daemon's descriptors", err)
	for _, e := range entries {
		var n int
		fmt.Sscan(filepath.Base(e), &n)
		fd, err := unix.PidfdGetfd(process, n, 0)
		if err != nil {
			continue // not a socket, or closed meanwhile
		}
		address, err := unix.Getsockname(fd)
		if _, ok := address.(*unix.SockaddrNetlink); err == nil && ok {
			bytes, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF)
			sw.NoError("read the receive buffer", err)
			size = float64(bytes)
		}
		unix.Close(fd)
	}
	return size
}
