package metrics

import "testing"

// TestShareOf: clients never get so many descriptors that the daemon lacks its
// own, and one of them is always served.
func TestShareOf(t *testing.T) {
	for descriptors := range uint64(2000) {
		conns := shareOf(descriptors)
		if conns < 1 || conns > defaultMaxConns {
			t.Fatalf("of %d descriptors: %d connections", descriptors, conns)
		}
		if left := int(descriptors) - conns; left < ownDescriptors && descriptors > ownDescriptors {
			t.Fatalf("of %d descriptors clients may take all but %d", descriptors, left)
		}
	}
	for _, plenty := range []uint64{1024, 1<<64 - 1} {
		if conns := shareOf(plenty); conns != defaultMaxConns {
			t.Errorf("of %d descriptors: %d connections", plenty, conns)
		}
	}
}
