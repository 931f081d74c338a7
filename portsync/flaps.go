package portsync

import (
	"math"
	"slices"
	"sync/atomic"

	"portsyncd/internal/warmrestart/stats"
)

// flaps counts how often the carrier of the interfaces with one name went, by the
// kernel's own count in every message, so that no lost message hides one. It outlives
// the port's view: a port that is created again, or renamed away and back, keeps what it
// had. The loop writes, anyone reads.
type flaps struct {
	name  string
	merit stats.FlapPenalty // belongs to the loop
	shown bool              // likewise: a view refers to it

	downs     atomic.Uint64 // since the process began
	penalty   atomic.Uint64 // bits of what merit was, on the loop's clock,
	penaltyAt atomic.Int64  // then
	flapping  atomic.Bool
	sampled   atomic.Uint64 // downs at the last sample; the Sampler writes it
}

// add takes n link-down transitions that a message told of at a time on the loop's
// clock.
func (f *flaps) add(n uint64, now int64) {
	f.merit.Add(now, n)
	f.penalty.Store(math.Float64bits(f.merit.At(now)))
	f.penaltyAt.Store(now)
	f.flapping.Store(f.merit.Flapping(now))
	f.downs.Add(n)
}

// figure returns the figure of merit, for any goroutine.
func (f *flaps) figure() stats.FlapPenalty {
	return stats.NewFlapPenalty(math.Float64frombits(f.penalty.Load()), f.penaltyAt.Load(), f.flapping.Load())
}

// mostUnshown bounds how many names without a view have their flaps kept.
const mostUnshown = 1024

// flapTable has the flaps of each name that has a view or has flapped. The loop
// changes it; readers use all.
type flapTable struct {
	byName map[string]*flaps // belongs to the loop
	list   atomic.Pointer[[]*flaps]
}

// of returns the flaps of a name, made on first sight. It allocates only then.
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

// makeRoom returns a copy of the list. If too many names in it have no view, those that
// have nothing to sample are left out, or else the oldest.
func (t *flapTable) makeRoom() []*flaps {
	old := t.all()
	list := make([]*flaps, len(old), len(old)+1)
	copy(list, old)
	unshown := 0
	for _, f := range list {
		if !f.shown {
			unshown++
		}
	}
	if unshown < mostUnshown {
		return list
	}
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
