package model

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"portsyncd/internal/switchtest"
)

// TestModel plays random histories of links, databases and the daemon on the built binary and on
// the model, and compares the complete databases whenever both can be in sync. The model follows
// docs/PROTOCOL.md and the invariants of ARCHITECTURE.md.
//
// PORTSYNCD_MODEL_SEED is the first seed, 1 by default. PORTSYNCD_MODEL_SEQUENCES is the number of
// sequences, one for each seed.
//
// The first failing sequence on each switch is shrunk and printed as Go, to be added to
// modelFound. With -short it is not shrunk and ends the switch's sequences.
func TestModel(t *testing.T) {
	switchtest.Parallel(t)
	first, sequences := switchtest.EnvNumber(t, "PORTSYNCD_MODEL_SEED", 1), switchtest.EnvNumber(t, "PORTSYNCD_MODEL_SEQUENCES", modelQuick)
	t.Logf("PORTSYNCD_MODEL_SEED=%d PORTSYNCD_MODEL_SEQUENCES=%d", first, sequences)
	if mutants := os.Getenv(mutantsVariable); mutants != "" {
		t.Run("mutants", func(t *testing.T) { playMutants(t, filepath.SplitList(mutants), first, sequences) })
		return
	}
	for from := first; from < first+sequences; from += modelChunk {
		to := min(from+modelChunk, first+sequences)
		t.Run(fmt.Sprintf("seeds_%d_to_%d", from, to-1), func(t *testing.T) {
			sw := switchtest.New(t)
			if sw == nil {
				return
			}
			var sum tally
			for seed := from; seed < to; seed++ {
				sum.play(t, sw, fmt.Sprintf("seed_%d", seed), modelSequence(uint64(seed)))
				if t.Failed() && testing.Short() {
					break
				}
			}
			t.Log(&sum)
		})
	}
}

const (
	// modelQuick is the number of sequences without PORTSYNCD_MODEL_SEQUENCES: 32, half of it with the
	// race detector.
	modelQuick = 32 / min(switchtest.RaceFactor, 2)
	modelChunk = 16 // sequences on one switch
)

// TestModelFound plays sequences that once failed in TestModel.
func TestModelFound(t *testing.T) {
	sw := switchtest.New(t)
	if sw == nil {
		return
	}
	var sum tally
	for _, name := range slices.Sorted(maps.Keys(modelFound)) {
		sum.play(t, sw, name, modelFound[name])
	}
	t.Log(&sum)
}

// modelFound has shrunk sequences that failed once, by what they showed.
var modelFound = map[string][]modelEvent{
	// A link message between a flush of APPL_DB and the notification of the flush
	// made its port count as not accepted, and no recheck followed when it was popped.
	"message_before_news_of_flush": {
		{"config", 0, 1}, {"start", 0, 0}, {"pop", 0, 0}, {"create", 0, 1}, {"hold", 0, 0},
		{"flush", 0, 0}, {"touch", 0, 0}, {"release", 0, 0}, {"pop", 0, 0},
	},
	// A port made again, or for the first time, before orchagent had popped the
	// rows produced again after a flush.
	"remade_between_flush_and_pop": {
		{"config", 1, 2}, {"create", 1, 1}, {"start", 0, 0}, {"flush", 0, 0}, {"reindex", 1, 3},
		{"pop", 0, 0},
	},
	"made_between_flush_and_pop": {
		{"config", 0, 2}, {"start", 0, 0}, {"flush", 0, 3}, {"create", 0, 1}, {"pop", 0, 0},
	},
	// A link message before the initial dump counted as a change, but the journal did not record it, so
	// the last change was unknown after the next restart.
	"message_while_waiting_for_redis": {
		{"config", 0, 3}, {"start", 0, 1}, {"pop", 0, 0}, {"create", 0, 1}, {"pop", 0, 0}, {"create", 3, 2},
		{"sync", 0, 0}, {"save", 0, 0}, {"die", 0, 0}, {"recreate", 3, 2}, {"kill", 0, 0}, {"delete", 3, 0},
		{"create", 3, 3}, {"start", 0, 0}, {"peer", 0, 1}, {"back", 0, 0}, {"term", 0, 0}, {"create", 4, 2},
	},
	// A deletion replaced the first write of a row, so the port was shown as pending although its
	// interface had existed.
	"made_and_deleted_in_one_batch": {
		{"config", 0, 1}, {"start", 0, 0}, {"pop", 0, 0}, {"hold", 0, 0}, {"create", 0, 1}, {"delete", 0, 0},
		{"release", 0, 0},
	},
	// The row of an old interface is stale if STATE_DB is compared between its
	// deletion and the creation of the next one, else it is not. Both are right,
	// so the model has to allow both.
	"stale_row_of_an_old_interface": {
		{"config", 0, 2}, {"start", 0, 0}, {"pop", 0, 0}, {"create", 0, 2}, {"kill", 0, 0},
		{"start", 0, 0}, {"cut", 0, 1}, {"delete", 0, 0}, {"create", 0, 1},
	},
	// The dump shows a change that an overrun hid, and the change is undone before the
	// next comparison. The model has to allow both.
	"foreign_row_and_lost_interface": {
		{"start", 0, 0}, {"hold", 0, 0}, {"foreign", 3, 45}, {"overrun", 0, 0}, {"create", 3, 2},
		{"release", 0, 0}, {"rename", 3, 6},
	},
	// The same for a name that an interface got meanwhile: whether the port ever had an interface
	// depends on the time of the dump, so the whole model has an alternative.
	"shown_by_the_dump_and_deleted": {
		{"config", 0, 1}, {"config", 1, 2}, {"create", 1, 2}, {"create", 2, 2}, {"start", 0, 0},
		{"pop", 0, 0}, {"hold", 0, 0}, {"create", 6, 2}, {"create", 3, 3}, {"overrun", 0, 0},
		{"swap", 1, 6}, {"member", 3, 1}, {"release", 0, 0}, {"member", 3, 0}, {"delete", 3, 0},
		{"delete", 1, 0},
	},
	"shown_by_the_dump_and_renamed": {
		{"start", 0, 0}, {"hold", 0, 0}, {"overrun", 0, 0}, {"create", 3, 0}, {"rename", 3, 2},
		{"row", 2, 1}, {"release", 0, 0}, {"create", 3, 1}, {"swap", 2, 3},
	},
}

// TestModelFaults asks for the report during each fault.
func TestModelFaults(t *testing.T) {
	switchtest.Parallel(t)
	for names := range slices.Chunk(slices.Sorted(maps.Keys(modelFaults)), modelChunk/2) {
		t.Run(names[0], func(t *testing.T) {
			sw := switchtest.New(t)
			if sw == nil {
				return
			}
			var sum tally
			for _, name := range names {
				sum.play(t, sw, name, faultSequence(name))
			}
			t.Log(&sum)
		})
	}
}

// faultSequence returns the sequence of the named fault: a start, the fault, changes of three
// interfaces, and what follows.
func faultSequence(name string) []modelEvent {
	begin := []modelEvent{{"config", 0, 1}, {"config", 1, 1}, {"start", 0, 0}, {"pop", 0, 0}, {"create", 0, 3}, {"create", 1, 1}}
	changes := []modelEvent{{"mtu", 0, 1281}, {"delete", 1, 0}, {"create", 2, 1}}
	return slices.Concat(begin, modelFaults[name][:1], changes, modelFaults[name][1:])
}

// modelFaults are a fault and what follows after changes of three interfaces.
var modelFaults = map[string][]modelEvent{
	"audited":           {{"steal", 0, 0}, {"audit", 0, 0}, {"row", 2, 1}, {"touch", 2, 0}, {"steal", 2, 1}, {"foreign", 1, 45}, {"audit", 0, 0}, {"row", 2, 0}, {"touch", 2, 0}, {"steal", 2, 0}, {"audit", 0, 0}},
	"dead":              {{"die", 0, 0}, {"ask", 0, 0}, {"recreate", 0, 1}, {"ask", 0, 0}, {"back", 0, 0}, {"pop", 0, 0}},
	"paused":            {{"pause", 0, 0}, {"ask", 0, 1}, {"recreate", 0, 1}, {"ask", 0, 1}, {"unpause", 0, 0}},
	"paused and dead":   {{"pause", 0, 0}, {"ask", 0, 0}, {"die", 0, 0}, {"ask", 0, 0}, {"back", 0, 0}, {"pop", 0, 0}},
	"refusing":          {{"readonly", 0, 0}, {"ask", 0, 0}, {"rename", 0, 3}, {"ask", 0, 0}, {"writable", 0, 0}, {"ask", 0, 0}},
	"refusing, killed":  {{"readonly", 0, 0}, {"ask", 0, 0}, {"kill", 0, 0}, {"writable", 0, 0}, {"start", 0, 0}, {"ask", 0, 0}},
	"dead at start":     {{"kill", 0, 0}, {"die", 0, 0}, {"start", 0, 0}, {"ask", 0, 0}, {"back", 0, 0}, {"pop", 0, 0}, {"ask", 0, 0}},
	"flushed":           {{"delete", 0, 0}, {"flush", 0, 0}, {"ask", 0, 0}},
	"left over":         {{"kill", 0, 0}, {"flush", 0, 2}, {"start", 0, 0}, {"rename", 2, 3}, {"config", 3, 1}, {"cut", 0, 0}, {"ask", 0, 0}, {"delete", 3, 0}, {"ask", 0, 0}},
	"refusing, ended":   {{"readonly", 0, 0}, {"ask", 0, 0}, {"drain", 0, 0}, {"start", 0, 0}, {"ask", 0, 0}},
	"refusing, audited": {{"sync", 0, 0}, {"steal", 0, 1}, {"readonly", 0, 0}, {"audit", 0, 0}, {"ask", 0, 0}, {"writable", 0, 0}, {"ask", 0, 0}},
	"replaced":          {{"delete", 0, 0}, {"rest", 0, 0}, {"replace", 0, 1}, {"ask", 0, 0}},
	"restarted":         {{"row", 2, 1}, {"term", 0, 0}, {"start", 0, 1}, {"config", 0, 2}, {"ask", 0, 0}, {"readonly", 0, 0}, {"mtu", 0, 1282}, {"ask", 0, 0}, {"writable", 0, 0}, {"ask", 0, 0}},
	"warm restart":      {{"sync", 0, 0}, {"kill", 0, 0}, {"flag", 0, 1}, {"count", 0, 1}, {"start", 0, 1}, {"ask", 0, 0}, {"create", 1, 1}, {"ask", 0, 0}},
	"overrun":           {{"hold", 0, 0}, {"overrun", 0, 0}, {"create", 3, 0}, {"release", 0, 0}, {"ask", 0, 0}},
	"refused row":       {{"jam", 0, 0}, {"ask", 0, 0}, {"delete", 0, 0}, {"ask", 0, 0}, {"steal", 0, 0}},
}

// tally counts what was played.
type tally struct {
	sequences, failed int
	applied           map[string]int
	slowest           time.Duration
	took              time.Duration
}

// play plays a sequence, and shrinks it if it fails.
func (s *tally) play(t *testing.T, sw *switchtest.Switch, name string, events []modelEvent) {
	t.Helper()
	begin := time.Now()
	s.sequences++
	if s.try(t, sw, name, events) {
		s.took += time.Since(begin)
		return
	}
	if s.failed++; s.failed > 1 || testing.Short() {
		t.Errorf("%s fails, not shrunk:\n%s", name, spell(events))
		return
	}
	n := 0
	fails := func(some []modelEvent) bool {
		n++
		return !s.try(t, sw, fmt.Sprintf("%s_shrink_%d", name, n), some)
	}
	if !fails(events) {
		t.Errorf("%s failed, but not when repeated:\n%s", name, spell(events))
		return
	}
	t.Errorf("%s fails; shrunk:\n%s", name, spell(shrink(events, fails, 60)))
}

// try plays a sequence on a switch that earlier ones left nothing on.
func (s *tally) try(t *testing.T, sw *switchtest.Switch, name string, events []modelEvent) bool {
	return t.Run(name, func(t *testing.T) {
		outer := sw.T
		sw.T = t
		t.Cleanup(func() { sw.T = outer })
		r := newModelRun(sw)
		r.run(events)
		if s.applied == nil {
			s.applied = make(map[string]int)
		}
		for do, n := range r.applied {
			s.applied[do] += n
		}
		s.slowest = max(s.slowest, r.slowest)
	})
}

// String returns one line with the number of sequences and events.
func (s *tally) String() string {
	var words []string
	total := 0
	for _, do := range slices.SortedFunc(maps.Keys(s.applied), func(a, b string) int { return s.applied[b] - s.applied[a] }) {
		words = append(words, fmt.Sprintf("%s %d", do, s.applied[do]))
		if !strings.HasPrefix(do, "(") {
			total += s.applied[do]
		}
	}
	return fmt.Sprintf("model: %d sequences, %d failed, %d events, %v; in sync after at most %v; %s",
		s.sequences, s.failed, total, s.took.Round(time.Millisecond), s.slowest.Round(time.Millisecond), strings.Join(words, ", "))
}
