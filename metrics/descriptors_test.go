package metrics

import "testing"

// TestConnectionLimit checks that the limit leaves reservedDescriptors to the daemon if possible,
// and is at least 1 and at most defaultMaxConns.
func TestConnectionLimit(t *testing.T) {
	for descriptors := range uint64(2000) {
		conns := connectionLimit(descriptors)
		if conns < 1 || conns > defaultMaxConns {
			t.Fatalf("%d descriptors: connection limit %d", descriptors, conns)
		}
		if left := int(descriptors) - conns; left < reservedDescriptors && descriptors > reservedDescriptors {
			t.Fatalf("%d descriptors: only %d are left for the daemon", descriptors, left)
		}
	}
	for _, plenty := range []uint64{1024, 1<<64 - 1} {
		if conns := connectionLimit(plenty); conns != defaultMaxConns {
			t.Errorf("%d descriptors: connection limit %d", plenty, conns)
		}
	}
}
