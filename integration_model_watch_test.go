package main

import (
	"fmt"
	"slices"

	"portsyncd/netlinkraw"
)

// This file is what a sequence hears beside the daemon: what the kernel tells it,
// and what it tells its own subscribers.

// watchKernel records the link messages that the kernel sends.
func (c *cell) watchKernel() *record[modelMessage] {
	c.t.Helper()
	conn, err := netlinkraw.Dial(netlinkraw.Config{})
	c.must("open a netlink socket", err)
	c.t.Cleanup(func() { conn.Close() })
	told := new(record[modelMessage])
	go func() {
		var batch netlinkraw.Batch
		for conn.Receive(&batch) == nil {
			for batch.Next() {
				if m := batch.Message(); m.Type == netlinkraw.NewLink || m.Type == netlinkraw.DelLink {
					told.add(modelMessage{m.Type == netlinkraw.DelLink, m.Link.Index, string(m.Link.Name), m.Link.Master != 0})
				}
			}
		}
	}()
	return told
}

// sent returns what the kernel has sent since the last time, up to this moment.
func (r *modelRun) sent() []modelMessage {
	r.t.Helper()
	r.serial++
	name := fmt.Sprintf("mark%d", r.serial)
	r.must("mark a moment", r.links.Rename(r.marker, name))
	r.marker = name
	if _, ok := r.told.await(r.read, patience, func(m modelMessage) bool { return m.name == name }); !ok {
		r.t.Fatal("nothing is heard of the kernel")
	}
	return r.soFar()
}

// soFar is sent without waiting for what is under way.
func (r *modelRun) soFar() []modelMessage {
	messages, _ := r.told.from(r.read)
	r.read += len(messages)
	return messages
}

// listen begins the record of what subscribers of STATE_DB hear. The daemon may
// be quicker.
func (r *modelRun) listen() {
	r.t.Helper()
	r.rows, r.heard = r.watchRows(), 0
	r.inStep()
	r.deaf = true
}

// inStep begins a period that ends with checkDeletions.
func (r *modelRun) inStep() {
	r.t.Helper()
	r.upToNow()
	r.before, r.deaf = make(map[string]bool), false
	for key := range r.m.db["STATE_DB"] {
		r.before[key] = true
	}
	clear(r.m.deleted)
}

// upToNow returns the rows of STATE_DB that were deleted since the last time.
func (r *modelRun) upToNow() map[string]bool {
	r.t.Helper()
	r.serial++
	mark := fmt.Sprintf("mark%d", r.serial)
	// As the server itself would tell of a write.
	r.do("STATE_DB", "PUBLISH", fmt.Sprintf("__keyspace@%d__:%s%s", r.places["STATE_DB"].number, statePort, mark), "hset")
	isMark := func(row touchedRow) bool { return row.key == mark }
	if _, ok := r.rows.await(r.heard, patience, isMark); !ok {
		r.t.Fatal("nothing is heard of STATE_DB")
	}
	all, _ := r.rows.from(r.heard)
	r.heard += 1 + slices.IndexFunc(all, isMark)
	gone := make(map[string]bool)
	for _, row := range all {
		if row.event == "del" {
			gone[statePort+row.key] = true
		}
	}
	return gone
}

// checkDeletions compares which rows subscribers have seen go since both were
// last in step: a port that is made again shows that (section 8), one that
// lives on never does.
func (r *modelRun) checkDeletions() {
	r.t.Helper()
	gone := r.upToNow()
	for key := range gone {
		if !r.m.deleted[key] && (r.early == nil || !r.early.deleted[key]) {
			r.t.Fatalf("%s was deleted, and there was no reason", key)
		}
	}
	for key := range r.m.deleted {
		if r.before[key] && !gone[key] && !r.deaf {
			r.t.Fatalf("nobody was told that %s goes", key)
		}
	}
	r.inStep()
}
