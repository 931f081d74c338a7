package portsync

import (
	"math"
	"slices"
	"sync/atomic"

	"portsyncd/internal/warmrestart/stats"
)

// flaps counts the link-down transitions of all interfaces with the same name. It uses the kernel's
// counts, so lost messages do not matter. It is kept while the port is not listed, so a port that
// is recreated, or renamed and renamed back, keeps its penalty. The loop writes it; any goroutine
// may read it.
type flaps struct {
	name         string
	penaltyState stats.FlapPenalty // owned by the loop
	shown        bool              // owned by the loop: the port is listed

	downs     atomic.Uint64 // since the process started
	penalty   atomic.Uint64 // bits of the value of penaltyState at penaltyAt
	penaltyAt atomic.Int64  // on the loop's clock
	flapping  atomic.Bool
	sampled   atomic.Uint64 // downs at the last sample; written by the Sampler
}

// add adds n link-down transitions that the kernel reported at time now on the loop's clock.
func (f *flaps) add(n uint64, now int64) {
	f.penaltyState.Add(now, n)
	f.penalty.Store(math.Float64bits(f.penaltyState.At(now)))
	f.penaltyAt.Store(now)
	f.flapping.Store(f.penaltyState.Flapping(now))
	f.downs.Add(n)
}

// currentPenalty returns the flap penalty. It may be called from any goroutine.
func (f *flaps) currentPenalty() stats.FlapPenalty {
	return stats.NewFlapPenalty(math.Float64frombits(f.penalty.Load()), f.penaltyAt.Load(), f.flapping.Load())
}

// maxUnlisted is the maximum number of unlisted ports whose flaps are kept.
const maxUnlisted = 1024

// flapTable holds the flaps of each port that is listed or has had a link-down transition. Only the
// loop modifies the table. Other goroutines may read the field all.
type flapTable struct {
	byName map[string]*flaps // owned by the loop
	list   atomic.Pointer[[]*flaps]
}

// of returns the flaps of the named port. It allocates only if it has to add the name.
func (t *flapTable) of(name string) *flaps {
	if f := t.byName[name]; f != nil {
		return f
	}
	if t.byName == nil {
		t.byName = make(map[string]*flaps)
	}
	f := &flaps{name: name}
	t.byName[name] = f
	list := append(t.makeRoom(), f)
	t.list.Store(&list)
	return f
}

// makeRoom returns the list for one more name to be appended. Appending does not change the elements
// that readers of the list see. If the list already has maxUnlisted unlisted names, makeRoom returns
// a copy without those that had no link-down transitions since the last sample, or without the oldest
// if there are none.
func (t *flapTable) makeRoom() []*flaps {
	old := t.all()
	unlisted := 0
	for _, f := range old {
		if !f.shown {
			unlisted++
		}
	}
	if unlisted < maxUnlisted {
		return old
	}
	list := slices.Clone(old)
	forget := func(f *flaps) bool {
		delete(t.byName, f.name)
		return true
	}
	list = slices.DeleteFunc(list, func(f *flaps) bool {
		return !f.shown && f.downs.Load() == f.sampled.Load() && forget(f)
	})
	if len(list) == len(old) {
		oldest := slices.IndexFunc(list, func(f *flaps) bool { return !f.shown })
		forget(list[oldest])
		list = slices.Delete(list, oldest, oldest+1)
	}
	return list
}

func (t *flapTable) all() []*flaps {
	if list := t.list.Load(); list != nil {
		return *list
	}
	return nil
}
