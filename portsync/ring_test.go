package portsync

import (
	"testing"
	"time"
)

// TestRingOrder pushes more events than the ring has slots through it, with
// both sides at work, so that it fills, empties and wraps.
func TestRingOrder(t *testing.T) {
	const events = 20000
	r := newRing[Event](8)
	done := make(chan struct{})
	go func() {
		for i := range events {
			slot := r.slot()
			if slot == nil {
				if !r.waitRoom(done) {
					return
				}
				slot = r.slot()
			}
			*slot = Event{Index: int32(i)}
			r.push()
			r.wake()
		}
	}()
	for want := int32(0); want < events; {
		ev := r.peek()
		if ev == nil {
			if r.sleep() {
				select {
				case <-r.filled:
				case <-time.After(10 * time.Second):
					t.Fatalf("nobody woke the consumer after event %d", want)
				}
				r.awake()
			}
			continue
		}
		if ev.Index != want {
			t.Fatalf("event %d came where %d was due", ev.Index, want)
		}
		r.pop()
		want++
	}
	if n := r.len(); n != 0 {
		t.Errorf("%d events are left", n)
	}
}

func TestRingFull(t *testing.T) {
	r := newRing[Event](2)
	for range 2 {
		if r.slot() == nil {
			t.Fatal("full too early")
		}
		r.push()
	}
	if r.slot() != nil {
		t.Fatal("a third slot in a ring of two")
	}
	done := make(chan struct{})
	close(done)
	if r.waitRoom(done) {
		t.Error("room in a full ring after done was closed")
	}
	r.peek()
	r.pop()
	if !r.waitRoom(done) {
		t.Error("no room after a pop")
	}
}

// TestRingSleep: an event that comes between the last look and going to sleep
// is not slept over.
func TestRingSleep(t *testing.T) {
	r := newRing[Event](2)
	if !r.sleep() {
		t.Error("may not sleep on an empty ring")
	}
	r.slot()
	r.push()
	r.wake()
	select {
	case <-r.filled:
	default:
		t.Error("the consumer had announced its sleep and was not woken")
	}
	if r.sleep() {
		t.Error("sleeps over an event")
	}
}

func BenchmarkRing(b *testing.B) {
	r := newRing[Event](1024)
	b.ReportAllocs()
	for b.Loop() {
		r.slot().Index = 1
		r.push()
		r.wake()
		r.peek()
		r.pop()
	}
}
