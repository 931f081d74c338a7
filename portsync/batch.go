package portsync

// Outcome is the result of the operations on one port of a batch.
type Outcome uint8

// Outcomes. A port whose reply has not arrived has OutcomeFailed.
const (
	OutcomeFailed      Outcome = iota // no reply, or refused temporarily; retried soon
	OutcomeRefused                    // refused permanently, such as a key of another type; looked up again later
	OutcomeAccepted                   // APPL_DB has the port; the writes are acknowledged
	OutcomeNotAccepted                // APPL_DB has no such port; a deletion is acknowledged
)

// pending holds the operations on a port's row that are not acknowledged yet.
type pending struct {
	queued bool  // the port is in the batch
	del    bool  // delete the row
	set    bool  // after any deletion, write the row if APPL_DB has the port
	lookup bool  // look the port up in APPL_DB even if a deletion replaced the write
	since  int64 // when the message that caused the oldest operation was read
	delAt  int64 // the same for the deletion
	setAt  int64 // the same for the write

	messages uint64 // number of link messages merged into the write
	result   Outcome
}

// Delete reports whether the row must be deleted. The deletion precedes any write.
func (p *Port) Delete() bool { return p.pending.del }

// Set reports whether the row must be written if APPL_DB has the port.
func (p *Port) Set() bool { return p.pending.set }

// Lookup reports whether the port must be looked up in APPL_DB.
func (p *Port) Lookup() bool { return p.pending.set || p.pending.lookup }

// Answer sets the outcome of the pending operations on the port's row.
func (p *Port) Answer(o Outcome) { p.pending.result = o }

// Batch is the backlog: the pending operations of all ports. Each port has one slot, so memory is
// bounded by the number of ports while Redis is slow or disconnected. A newer state of a port
// replaces an older one. A deletion is kept, and a later state is written after it.
type Batch struct {
	ports []*Port
}

// Len returns the number of ports with pending operations.
func (b *Batch) Len() int { return len(b.ports) }

// Add adds a Publish or Delete action. at is the time at which the message that caused it was read.
func (b *Batch) Add(a Action, at int64) {
	w := &a.Port.pending
	switch a.Kind {
	case Publish:
		if !w.set {
			w.set, w.setAt = true, at
		}
	case Delete:
		if !w.del {
			w.del, w.delAt = true, at
		}
		w.lookup = w.lookup || w.set
		w.set = false
	}
	if !w.queued {
		w.queued, w.since = true, at
		b.ports = append(b.ports, a.Port)
	}
}

// oldest returns the time of the oldest pending operation, or 0 if there is none.
func (b *Batch) oldest() int64 {
	if len(b.ports) == 0 {
		return 0
	}
	return max(b.ports[0].pending.since, 1)
}

// Complete removes every port whose reply has arrived and calls done with the port and the
// operations that were pending for it. Ports with OutcomeFailed are kept.
func (b *Batch) Complete(done func(p *Port, was pending)) {
	kept := b.ports[:0]
	for _, p := range b.ports {
		if p.pending.result == OutcomeFailed {
			kept = append(kept, p)
			continue
		}
		was := p.pending
		p.pending = pending{}
		done(p, was)
	}
	clear(b.ports[len(kept):])
	b.ports = kept
}
