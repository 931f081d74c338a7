package portsync

// Outcome is what the databases answered for one port of a batch.
type Outcome uint8

// The outcomes. OutcomeFailed is that of a port without an answer.
const (
	OutcomeFailed      Outcome = iota // refused for the moment: to be tried again soon
	OutcomeRefused                    // refused, such as a row of another type: to be tried again later
	OutcomeAccepted                   // APPL_DB has the port; what was wanted is acknowledged
	OutcomeNotAccepted                // APPL_DB has no such port; a deletion is acknowledged
)

// pending is what is wanted of a port's row and not acknowledged yet.
type pending struct {
	queued bool  // the port is in the batch
	del    bool  // delete the row
	set    bool  // then set it, if APPL_DB has the port
	look   bool  // say whether APPL_DB has it although a deletion overtook the state
	since  int64 // when the oldest of what is wanted was read,
	delAt  int64 // the deletion,
	setAt  int64 // and the state

	messages uint64 // link messages merged into this, deletions apart
	result   Outcome
}

// Delete reports whether the row is to be deleted, before anything is set.
func (p *Port) Delete() bool { return p.pending.del }

// Set reports whether the row is to be set, if APPL_DB has the port.
func (p *Port) Set() bool { return p.pending.set }

// Lookup reports whether it matters if APPL_DB has the port.
func (p *Port) Lookup() bool { return p.pending.set || p.pending.look }

// Answer records what became of the port in the databases.
func (p *Port) Answer(o Outcome) { p.pending.result = o }

// Batch collects what is wanted of each port until it is acknowledged: one slot
// for each port, so that it is bounded by ports however many events come in
// while Redis is slow or away. The last state wins; a deletion stays, and a
// state that follows it is written after it.
type Batch struct {
	ports []*Port
}

// Len is the number of ports that wait for the databases.
func (b *Batch) Len() int { return len(b.ports) }

// Add notes a Publish or Delete action caused by a datagram read at the given
// time.
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
		w.look = w.look || w.set
		w.set = false
	}
	if !w.queued {
		w.queued, w.since = true, at
		b.ports = append(b.ports, a.Port)
	}
}

// oldest returns since when the oldest port waits; 0 if none does.
func (b *Batch) oldest() int64 {
	if len(b.ports) == 0 {
		return 0
	}
	return max(b.ports[0].pending.since, 1)
}

// Settle removes the ports that were answered and calls done for each with
// what had been wanted; those that failed stay.
func (b *Batch) Settle(done func(p *Port, was pending)) {
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
