package model

import (
	"fmt"
	"slices"

	"portsyncd/internal/switchtest"
	"portsyncd/netlinkraw"
)

// This file records what the kernel sends and what subscribers of STATE_DB receive.

// watchKernel records the link messages of the kernel.
func watchKernel(sw *switchtest.Switch) *switchtest.Record[modelMessage] {
	sw.T.Helper()
	conn, err := netlinkraw.Dial(netlinkraw.Config{})
	sw.NoError("open a netlink socket", err)
	sw.T.Cleanup(func() { conn.Close() })
	messages := new(switchtest.Record[modelMessage])
	go func() {
		var batch netlinkraw.Batch
		for conn.Receive(&batch) == nil {
			for batch.Next() {
				if m := batch.Message(); m.Type == netlinkraw.NewLink || m.Type == netlinkraw.DelLink {
					messages.Add(modelMessage{m.Type == netlinkraw.DelLink, m.Link.Index, string(m.Link.Name), m.Link.Master != 0})
				}
			}
		}
	}()
	return messages
}

// sent returns the messages that the kernel has sent since the last call, up to now.
func (r *modelRun) sent() []modelMessage {
	r.T.Helper()
	r.serial++
	name := fmt.Sprintf("mark%d", r.serial)
	r.NoError("rename the marker", r.Links.Rename(r.marker, name))
	r.marker = name
	if _, ok := r.kernelSent.Await(r.read, switchtest.Timeout, func(m modelMessage) bool { return m.name == name }); !ok {
		r.T.Fatal("no link message from the kernel")
	}
	return r.sentSoFar()
}

// sentSoFar is sent without waiting for messages in transit.
func (r *modelRun) sentSoFar() []modelMessage {
	messages, _ := r.kernelSent.From(r.read)
	r.read += len(messages)
	return messages
}

// watchRows begins to record the notifications for subscribers of STATE_DB.
func (r *modelRun) watchRows() {
	r.T.Helper()
	r.rows, r.rowsRead = r.WatchRowEvents(), 0
	r.beginPeriod()
	r.deaf = true
}

// beginPeriod begins a period that ends with checkDeletions.
func (r *modelRun) beginPeriod() {
	r.T.Helper()
	r.deletedSoFar()
	r.before, r.deaf = make(map[string]bool), false
	for key := range r.m.db["STATE_DB"] {
		r.before[key] = true
	}
	clear(r.m.deleted)
}

// deletedSoFar returns the rows of STATE_DB that were deleted since the last call.
func (r *modelRun) deletedSoFar() map[string]bool {
	r.T.Helper()
	r.serial++
	mark := fmt.Sprintf("mark%d", r.serial)
	// As the server publishes a write.
	r.Do("STATE_DB", "PUBLISH", fmt.Sprintf("__keyspace@%d__:%s%s", r.Databases["STATE_DB"].Number, switchtest.StatePort, mark), "hset")
	isMark := func(row switchtest.RowEvent) bool { return row.Key == mark }
	if _, ok := r.rows.Await(r.rowsRead, switchtest.Timeout, isMark); !ok {
		r.T.Fatal("no notification from STATE_DB")
	}
	all, _ := r.rows.From(r.rowsRead)
	r.rowsRead += 1 + slices.IndexFunc(all, isMark)
	gone := make(map[string]bool)
	for _, row := range all {
		if row.Event == "del" {
			gone[switchtest.StatePort+row.Key] = true
		}
	}
	return gone
}

// checkDeletions compares the rows whose deletion subscribers have seen since both were last in
// sync. A port that is made again has such a deletion (docs/PROTOCOL.md section 8); one that stays
// never does.
func (r *modelRun) checkDeletions() {
	r.T.Helper()
	gone := r.deletedSoFar()
	for key := range gone {
		if !r.m.deleted[key] && (r.early == nil || !r.early.deleted[key]) {
			r.T.Fatalf("%s was deleted without a reason", key)
		}
	}
	for key := range r.m.deleted {
		if r.before[key] && !gone[key] && !r.deaf && (r.early == nil || r.early.deleted[key]) {
			r.T.Fatalf("subscribers saw no deletion of %s", key)
		}
	}
	gap := r.deaf && r.held // the model has not processed the messages that were sent during the gap
	r.beginPeriod()
	r.deaf = gap
}
