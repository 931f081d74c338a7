package portsync

// Outcome is the answer of the databases about one port of a batch.
type Outcome uint8

// The outcomes. OutcomeFailed is that of a port without an answer.
const (
	OutcomeFailed      Outcome = iota // no answer, or refused for the moment: retried soon
	OutcomeRefused                    // refused permanently, such as a key of another type: looked up again later
	OutcomeAccepted                   // APPL_DB has the port; the writes are acknowledged
	OutcomeNotAccepted                // APPL_DB has no such port; a deletion is acknowledged
)

// pending are the operations on a port's row that are not acknowledged yet.
type pending struct {
	queued bool  // the port is in the batch
	del    bool  // delete the row
	set    bool  // then set it, if APPL_DB has the port
	lookup bool  // look the port up in APPL_DB, although a deletion overtook the state
	since  int64 // when the message of the oldest operation was read,
	delAt  int64 // that of the deletion,
	setAt  int64 // and that of the state

	messages uint64 // link messages merged into set
	result   Outcome
}

// Delete reports whether the row is to be deleted, before anything is set.
func (p *Port) Delete() bool { return p.pending.del }

// Set reports whether the row is to be set, if APPL_DB has the port.
func (p *Port) Set() bool { return p.pending.set }

// Lookup reports whether the port is to be looked up in APPL_DB.
func (p *Port) Lookup() bool { return p.pending.set || p.pending.lookup }

// Answer records the answer of the databases.
func (p *Port) Answer(o Outcome) { p.pending.result = o }

// Batch is the backlog: the pending operations of each port. It has one slot for each port, so
// that its size is bounded by the number of ports while Redis is slow or disconnected. The last
// state of a port wins. A deletion is kept, and a later state is written after it.
type Batch struct {
	ports []*Port
}

// Len returns the number of ports with pending operations.
func (b *Batch) Len() int { return len(b.ports) }

// Add adds a Publish or Delete action of a message that was read at the given time.
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

// Complete removes the ports with an answer and calls done for each, with the operations that had
// been pending. Ports with OutcomeFailed stay.
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
