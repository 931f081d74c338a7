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

// OpenLinks opens the netlink socket and then lists the existing interfaces, so that no change
// in between is missed. It retries until ctx ends if descriptors or memory are short or if the
// links change during the list, and calls failed with the first such error. At the end of ctx it
// returns the cause; other errors it returns at once.
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

// listPorts returns the interfaces whose names are those of front-panel ports.
func listPorts() (ports []portsync.OldLink, err error) {
	err = netlinkraw.ListLinks(func(l *netlinkraw.Link) {
		if portsync.IsFrontPanel(l.Name) {
			ports = append(ports, portsync.OldLink{Index: l.Index, Name: string(l.Name)})
		}
	})
	return ports, err
}

// lacksResources reports whether err means that descriptors or memory are short.
func lacksResources(err error) bool {
	for _, e := range []error{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}
