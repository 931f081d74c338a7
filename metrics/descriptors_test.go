package metrics

import "testing"

// TestShareOf: clients never get so many descriptors that the daemon lacks its
// own, and one of them is always served.
func TestShareOf(t *testing.T) {
	for descriptors := range uint64(2000) {
		conns, lingering := shareOf(descriptors)
		if conns < 1 || conns > defaultMaxConns || lingering < 0 || lingering > maxLingering {
			t.Fatalf("of %d descriptors: %d connections, %d lingering", descriptors, conns, lingering)
		}
		if left := int(descriptors) - conns - lingering; left < ownDescriptors && descriptors > ownDescriptors {
			t.Fatalf("of %d descriptors clients may take all but %d", descriptors, left)
		}
	}
	if conns, lingering := shareOf(1024); conns != defaultMaxConns || lingering != maxLingering {
		t.Errorf("of systemd's usual 1024: %d connections, %d lingering", conns, lingering)
	}
	if conns, _ := shareOf(1<<64 - 1); conns != defaultMaxConns {
		t.Errorf("without a limit: %d connections", conns)
	}
}
