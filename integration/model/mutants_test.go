package model

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"portsyncd/internal/switchtest"
)

// mutantsVariable names the environment variable with the paths of changed daemons, separated by
// colons. If it is set, TestModel plays each of them until a sequence fails.
const mutantsVariable = "PORTSYNCD_MODEL_MUTANTS"

// playMutants plays sequences from seed first on each changed daemon until one fails, and the
// sequences of TestModelFaults if none does. It logs a line for each daemon, which .ci/modelmutants
// reads: the file name, the number of sequences, the time, and the name of the sequence that failed
// or "none".
func playMutants(t *testing.T, binaries []string, first, sequences int) {
	t.Helper()
	sw := switchtest.New(t)
	if sw == nil {
		return
	}
	modelTimeout = 2 * time.Second // most changes are not repaired later
	for _, binary := range binaries {
		sw.Binary = binary
		name, begin := filepath.Base(binary), time.Now()
		var sum tally
		failed := "none"
		try := func(sequence string, events []modelEvent) bool {
			sum.sequences++
			if !sum.try(t, sw, name+"_"+sequence, events) {
				failed = sequence
			}
			return failed != "none"
		}
		for seed := first; seed < first+sequences; seed++ {
			if try(fmt.Sprintf("seed_%d", seed), modelSequence(uint64(seed))) {
				break
			}
		}
		for _, fault := range slices.Sorted(maps.Keys(modelFaults)) {
			if failed != "none" {
				break
			}
			try("fault_"+fault, faultSequence(fault))
		}
		t.Logf("mutant %s %d %.1f %s", name, sum.sequences, time.Since(begin).Seconds(), failed)
	}
}
