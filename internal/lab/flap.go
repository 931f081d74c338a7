package lab

import (
	"context"
	"math/rand/v2"
	"time"
)

// FlapEvent tells what a [Flapper] did to a port.
type FlapEvent struct {
	Port    string
	Carrier bool // whether the cable's far end is up now
	MTU     int  // the port's MTU after a change of it, 0 if it was not changed
	Err     error
}

// Flapper makes ports unquiet: their peers go down and come back, their MTU
// changes to and fro.
type Flapper struct {
	// Links changes the interfaces. Only Run uses it meanwhile.
	Links LinkMaker
	// Ports are the ports to choose from. Their peers are up at the start.
	Ports []string
	// MTU is what the ports have at the start and get back at the end.
	MTU int
	// Rate is how many changes to make a second, above 0.
	Rate float64
	// Seed makes the choice of ports repeatable.
	Seed uint64
	// Report, if not nil, is called for each change, by the goroutine of Run.
	Report func(FlapEvent)

	random  *rand.Rand
	down    map[string]bool // ports whose peer is down
	smaller map[string]bool // ports whose MTU is otherMTU
}

const (
	otherMTU = 1500
	mtuShare = 0.1 // of all changes
)

// Run makes changes until ctx ends, and then undoes what is left of them.
func (f *Flapper) Run(ctx context.Context) {
	f.random = rand.New(rand.NewPCG(f.Seed, 0))
	f.down, f.smaller = make(map[string]bool), make(map[string]bool)
	if len(f.Ports) == 0 || f.Rate <= 0 {
		<-ctx.Done()
		return
	}
	ticker := time.NewTicker(max(time.Duration(float64(time.Second)/f.Rate), time.Microsecond))
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			f.restore()
			return
		case <-ticker.C:
			f.step()
		}
	}
}

// step changes one port.
func (f *Flapper) step() {
	port := f.Ports[f.random.IntN(len(f.Ports))]
	if f.random.Float64() < mtuShare {
		f.toggleMTU(port)
	} else {
		f.toggleCarrier(port)
	}
}

// restore undoes the changes that stand. It goes by the order of Ports.
func (f *Flapper) restore() {
	for _, port := range f.Ports {
		if f.down[port] {
			f.toggleCarrier(port)
		}
		if f.smaller[port] {
			f.toggleMTU(port)
		}
	}
}

func (f *Flapper) toggleCarrier(port string) {
	up := f.down[port]
	err := f.Links.SetUp(PeerName(port), up)
	if err == nil {
		f.down[port] = !up
	}
	f.report(FlapEvent{Port: port, Carrier: !f.down[port], Err: err})
}

func (f *Flapper) toggleMTU(port string) {
	mtu := otherMTU
	if f.smaller[port] {
		mtu = f.MTU
	}
	err := f.Links.SetMTU(port, mtu)
	if err == nil {
		f.smaller[port] = mtu == otherMTU
	}
	f.report(FlapEvent{Port: port, Carrier: !f.down[port], MTU: mtu, Err: err})
}

func (f *Flapper) report(e FlapEvent) {
	if f.Report != nil {
		f.Report(e)
	}
}
