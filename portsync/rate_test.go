package portsync

import (
	"testing"
	"time"
)

func TestFailureRate(t *testing.T) {
	var f failureRate
	second := int64(time.Second)
	for i := range int64(100) {
		f.add(i%10 == 0, i*second) // one in ten, one each second
	}
	// At 100 s the buckets from 50 s on count.
	if failed, attempts := f.recent(100 * second); failed != 5 || attempts != 50 {
		t.Errorf("%d of %d, want 5 of 50", failed, attempts)
	}
	// One bucket is left at the end of its minute, and none after it.
	if failed, attempts := f.recent(150*second - 1); failed != 1 || attempts != 10 {
		t.Errorf("%d of %d at the end of the minute, want 1 of 10", failed, attempts)
	}
	if failed, attempts := f.recent(150 * second); failed != 0 || attempts != 0 {
		t.Errorf("%d of %d a minute after the last, want none", failed, attempts)
	}
	if n, m := f.failed.Load(), f.attempts.Load(); n != 10 || m != 100 {
		t.Errorf("%d of %d since the beginning, want 10 of 100", n, m)
	}
	if failed, attempts := f.recent(1000 * second); failed != 0 || attempts != 0 {
		t.Errorf("%d of %d long after the last, want none", failed, attempts)
	}
}
