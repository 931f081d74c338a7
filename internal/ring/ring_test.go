package ring

import (
	"runtime"
	"testing"
	"testing/synctest"
	"time"
)

// TestOrder checks that a consumer that sleeps between values receives all of them in order.
func TestOrder(t *testing.T) {
	const values = 100_000
	r := New[int](8)
	go func() {
		for i := 0; i < values; {
			slot := r.Slot()
			if slot == nil {
				r.Wake()
				runtime.Gosched()
				continue
			}
			*slot = i
			r.Push()
			if i%3 == 0 || i == values-1 {
				r.Wake()
			}
			i++
		}
	}()
	for want := 0; want < values; {
		if got := r.Peek(); got != nil {
			if *got != want {
				t.Fatalf("value %d arrived, want %d", *got, want)
			}
			r.Pop()
			want++
		} else if r.Sleep() {
			<-r.Filled()
		}
	}
	if r.Len() != 0 || r.Peek() != nil {
		t.Errorf("%d values left, want 0", r.Len())
	}
}

// TestFull checks that a full ring offers no slot, and one slot after one Pop.
func TestFull(t *testing.T) {
	r := New[int](2)
	for i := range 2 {
		*r.Slot() = i
		r.Push()
	}
	if r.Slot() != nil || r.Len() != 2 {
		t.Fatalf("a full ring offers a slot; its length is %d, want 2", r.Len())
	}
	r.Peek()
	r.Pop()
	if r.Slot() == nil {
		t.Error("no slot after Pop")
	}
}

// TestFewSlots checks that an empty ring continues with the first slot, so that a large ring with few values
// needs little memory, and that values stay in order whether or not the ring becomes empty between them.
func TestFewSlots(t *testing.T) {
	r := New[int](8)
	first := r.Slot()
	for n := range 100 {
		if slot := r.Slot(); slot != first {
			t.Fatalf("value %d: an empty ring does not offer the first slot", n)
		}
		burst := n%8 + 1
		for i := range burst {
			*r.Slot() = i
			r.Push()
		}
		for i := range burst {
			if got := *r.Peek(); got != i {
				t.Fatalf("burst %d: value %d, want %d", n, got, i)
			}
			r.Pop()
			if i < burst-1 { // another value while the ring is not empty
				*r.Slot() = 100 + i
				r.Push()
			}
		}
		for i := range burst - 1 {
			if got := *r.Peek(); got != 100+i {
				t.Fatalf("burst %d: value %d, want %d", n, got, 100+i)
			}
			r.Pop()
		}
	}
}

// TestSleepSeesValues checks that a consumer does not go to sleep while the ring has a value, and
// that Awake makes the next Wake silent.
func TestSleepSeesValues(t *testing.T) {
	r := New[int](2)
	r.Slot()
	r.Push()
	if r.Sleep() {
		t.Error("Sleep allows waiting with a value in the ring")
	}
	r.Pop()
	if !r.Sleep() {
		t.Error("Sleep refuses with an empty ring")
	}
	r.Awake()
	r.Wake()
	select {
	case <-r.Filled():
		t.Error("Wake signals a consumer that is awake")
	default:
	}
}

// TestSizeIsPowerOfTwo checks that New panics for other sizes.
func TestSizeIsPowerOfTwo(t *testing.T) {
	for _, size := range []int{-1, 0, 3, 12} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("New accepts size %d", size)
				}
			}()
			New[int](size)
		}()
	}
}

// TestNoAllocations checks that passing a value allocates no memory.
func TestNoAllocations(t *testing.T) {
	r := New[[64]byte](16)
	if n := testing.AllocsPerRun(1000, func() {
		r.Slot()[0]++
		r.Push()
		r.Wake()
		r.Peek()
		r.Pop()
	}); n != 0 {
		t.Errorf("%v allocations per value, want 0", n)
	}
}

// TestWaitRoom checks that a producer that waits for a free slot passes all values in order, and
// that it stops waiting at the end.
func TestWaitRoom(t *testing.T) {
	const values = 20_000
	r, done := New[int](8), make(chan struct{})
	go func() {
		for i := range values {
			if !r.WaitRoom(done) {
				return
			}
			*r.Slot() = i
			r.Push()
			r.Wake()
		}
	}()
	for want := 0; want < values; {
		if got := r.Peek(); got != nil {
			if *got != want {
				t.Fatalf("value %d arrived, want %d", *got, want)
			}
			r.Pop()
			want++
		} else if r.Sleep() {
			<-r.Filled()
		}
	}
	for r.Slot() != nil {
		r.Push()
	}
	close(done)
	if r.WaitRoom(done) {
		t.Error("a full ring has room once done is closed")
	}
	r.Pop()
	if !r.WaitRoom(done) {
		t.Error("no room after Pop")
	}
}

// TestWakesAtHalf checks that a producer in WaitRoom is woken once, when half of the ring is free.
func TestWakesAtHalf(t *testing.T) {
	r := New[int](8)
	for r.Slot() != nil {
		r.Push()
	}
	r.full.Store(true)
	for left := 7; left >= 0; left-- {
		r.Pop()
		woken := false
		select {
		case <-r.drained:
			woken = true
		default:
		}
		if woken != (left == 4) {
			t.Errorf("with %d values left: woken %t", left, woken)
		}
	}
}

func BenchmarkRing(b *testing.B) {
	r := New[[64]byte](1024)
	b.ReportAllocs()
	for b.Loop() {
		r.Slot()[0] = 1
		r.Push()
		r.Wake()
		r.Peek()
		r.Pop()
	}
}

// TestGather checks that Gather ends when the timer expires, when the ring is a quarter full or when
// done is closed, and not for fewer values. No signal is left for the next wait.
func TestGather(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const second = time.Second
		r := New[int](16)
		timer, done := time.NewTimer(second), make(chan struct{})
		push := func(n int) {
			for range n {
				r.Push()
			}
			r.Wake()
		}
		gather := func() time.Duration {
			begin := time.Now()
			timer.Reset(second)
			r.Gather(timer, done)
			if r.gathers.Load() || len(r.filled) > 0 {
				t.Error("Gather left its flag or a signal")
			}
			return time.Since(begin)
		}
		after := func(d time.Duration, f func()) { go func() { time.Sleep(d); f() }() }

		push(2)
		after(second/4, func() { push(1) })
		if took := gather(); took != second {
			t.Errorf("with 3 of 16 values, Gather took %v, want %v", took, second)
		}
		after(second/4, func() { push(1); push(1) })
		if took := gather(); took != second/4 {
			t.Errorf("Gather ended %v after its begin, want %v: when the ring was a quarter full", took, second/4)
		}
		if took := gather(); took != 0 {
			t.Errorf("with a ring that is a quarter full, Gather took %v, want 0", took)
		}
		for r.Peek() != nil {
			r.Pop()
		}
		after(second/4, func() { close(done) })
		if took := gather(); took != second/4 {
			t.Errorf("Gather ended %v after its begin, want %v: when done was closed", took, second/4)
		}
	})
}
