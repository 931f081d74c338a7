package daemon

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"syscall"
	"time"

	"portsyncd/internal/backoff"
	"portsyncd/netlinkraw"
	"portsyncd/portsync"
)

// OpenLinks opens the netlink socket and then lists the existing interfaces, so that no change in
// between is missed. It retries until ctx is done if there are too few file descriptors or too
// little memory, or if links change during the listing. It calls failed with the first such error.
// If ctx is done, it returns the cause. Other errors are returned immediately.
func OpenLinks(ctx context.Context, failed func(error)) (conn *netlinkraw.Conn, existing []portsync.OldLink, err error) {
	var report sync.Once
	pause := backoff.Backoff{Min: 10 * time.Millisecond, Max: time.Second}
	for ctx.Err() == nil {
		if conn == nil {
			conn, err = netlinkraw.Dial(netlinkraw.Config{})
			if err != nil && !lacksResources(err) {
				return nil, nil, fmt.Errorf("open the netlink socket: %w", err)
			}
		}
		if conn != nil {
			if existing, err = listPorts(); err == nil {
				return conn, existing, nil
			}
		}
		report.Do(func() { failed(err) })
		if !lacksResources(err) {
			continue // the list was interrupted by a change; no pause is needed
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause.Next()):
		}
	}
	return nil, nil, context.Cause(ctx)
}

// listPorts returns the interfaces that have the name of a front-panel port.
func listPorts() (ports []portsync.OldLink, err error) {
	err = netlinkraw.ListLinks(func(l *netlinkraw.Link) {
		if portsync.IsFrontPanel(l.Name) {
			ports = append(ports, portsync.OldLink{Index: l.Index, Name: string(l.Name)})
		}
	})
	return ports, err
}

// lacksResources reports whether err means that file descriptors or memory are exhausted.
func lacksResources(err error) bool {
	for _, e := range []error{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}
